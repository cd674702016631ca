// What one question finds: tickets, assets, guides, people, best first.
import { useSearch, type Hit } from "../api/lists";
import { useSpeech, type Key } from "../i18n";
import { Await, Empty } from "../parts/states";
import { ROW } from "./list_keys";

export default function Search({ text }: { text: string }) {
  const { t } = useSpeech();
  const found = useSearch(text);
  if (!text) return <Empty title={t("find.ask")} hint={t("find.askHint")} />;
  return (
    <>
      <div className="page-head">
        <div>
          <h1>{t("find.title", { text })}</h1>
          {Object.entries(found.data?.meant ?? {}).map(([typed, meant]) => (
            <p key={typed}>{t("find.meant", { typed, meant: meant.join(", ") })}</p>
          ))}
        </div>
      </div>
      <Await query={found}>
        {(answer) =>
          answer.items.length ? <Hits hits={answer.items} /> : <div className="panel"><Empty title={t("find.nothing")} hint={t("find.nothingHint")} /></div>
        }
      </Await>
    </>
  );
}

function Hits({ hits }: { hits: Hit[] }) {
  const { t, code } = useSpeech();
  return (
    <div className="scroll">
      <table className="list cards middle">
        <thead>
          <tr><th scope="col">{t("find.found")}</th><th scope="col">{t("find.what")}</th><th scope="col">{t("order.status")}</th></tr>
        </thead>
        <tbody>
          {hits.map((hit) => (
            <tr key={`${hit.kind}${hit.id}`}>
              <th scope="row">
                {address(hit) ? <a className="title" href={address(hit)} {...{ [ROW]: "" }}>{hit.title}</a> : <strong>{hit.title}</strong>}
                {hit.text && <div className="small soft">{hit.text}</div>}
              </th>
              <td className="nowrap soft" data-label={t("find.what")}>{t(`find.${hit.kind}` as Key)} {hit.code}</td>
              <td className="nowrap" data-label={t("order.status")}>{hit.kind === "ticket" ? code("status", hit.state) : hit.kind === "asset" ? code("class", hit.state) : "–"}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function address(hit: Hit): string | undefined {
  if (hit.kind === "ticket") return `#/orders/${hit.id}`;
  if (hit.kind === "article") return `#/guides/${hit.id}`;
  return hit.kind === "asset" ? `#/assets/${hit.id}` : undefined;
}
