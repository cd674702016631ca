// Work orders: filter, search, and a list that tells the due time and the person before a click.
import { Button, NativeSelect, SegmentedControl } from "@mantine/core";
import { useInfiniteQuery } from "@tanstack/react-query";
import { call, query } from "../api/client";
import { useNow } from "../api/clock";
import type { TicketFilter } from "../api/queries";
import type { Me, Page, TicketItem, TicketKind, TicketStatus } from "../api/types";
import { useSpeech } from "../i18n";
import { moment } from "../i18n/format";
import { PriorityMark, StatusChip } from "../parts/marks";
import { Due } from "../parts/sla";
import { Await, Empty } from "../parts/states";
import { go } from "../router";
import { ROW } from "./list_keys";

const KINDS: TicketKind[] = ["preventive", "corrective", "inspection", "sensor-fault", "incident", "request"];
const STATUSES: TicketStatus[] = [
  "new", "assigned", "accepted", "arrived", "on_hold", "done", "verifying", "reopened", "closed", "cancelled",
];
const PAGE = 50;

export default function Orders({ search, me }: { search: URLSearchParams; me: Me }) {
  const { t } = useSpeech();
  const [filter, text] = filterOf(search);
  const list = useInfiniteQuery({
    queryKey: ["ticket", "pages", filter],
    queryFn: ({ signal, pageParam }) =>
      call<Page<TicketItem>>(`/tickets${query({ ...filter, limit: PAGE, cursor: pageParam })}`, { signal }),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next,
    refetchInterval: 30_000,
  });
  const items = list.data?.pages.flatMap((page) => page.items) ?? [];
  return (
    <>
      <div className="page-head">
        <div>
          <h1>{t("order.title")}</h1>
          {list.data && <p>{t("order.count", { n: items.length })}{text && ` · “${text}”`}</p>}
        </div>
        <Filters search={search} me={me} />
      </div>
      <Await query={list}>
        {() =>
          items.length === 0 ? (
            <div className="panel"><Empty title={t("order.empty")} hint={t("order.emptyHint")} /></div>
          ) : (
            <Table items={items} />
          )
        }
      </Await>
      {list.hasNextPage && (
        <Button mt={12} variant="default" loading={list.isFetchingNextPage} onClick={() => void list.fetchNextPage()}>
          {t("app.more")}
        </Button>
      )}
    </>
  );
}

/** The address is the filter, so that a list can be sent to a colleague. */
function filterOf(search: URLSearchParams): [TicketFilter, string] {
  const which = search.get("which") ?? "open";
  const text = search.get("q") ?? "";
  return [
    {
      status: search.get("status") ?? undefined,
      kind: search.get("kind") ?? undefined,
      q: text || undefined,
      assignee: which === "mine" ? "me" : undefined,
      open: which === "all" ? undefined : true,
    },
    text,
  ];
}

function Filters({ search, me }: { search: URLSearchParams; me: Me }) {
  const { t, code } = useSpeech();
  const change = (name: string, value: string) => {
    const next = new URLSearchParams(search);
    if (value) next.set(name, value);
    else next.delete(name);
    // A closed status can only be found among all orders.
    if (name === "status" && (value === "closed" || value === "cancelled")) next.set("which", "all");
    go(`/orders?${next}`, "replace");
  };
  const which = [
    { value: "open", label: t("order.open") },
    ...(me.engineer_id === null ? [] : [{ value: "mine", label: t("order.mine") }]),
    { value: "all", label: t("order.all") },
  ];
  return (
    <div className="row">
      <SegmentedControl
        aria-label={t("order.which")} data={which} value={search.get("which") ?? "open"}
        onChange={(value) => change("which", value)}
      />
      <NativeSelect
        aria-label={t("order.kind")} value={search.get("kind") ?? ""} onChange={(event) => change("kind", event.currentTarget.value)}
        data={[{ value: "", label: t("order.anyKind") }, ...KINDS.map((value) => ({ value, label: code("kind", value) }))]}
      />
      <NativeSelect
        aria-label={t("order.status")} value={search.get("status") ?? ""} onChange={(event) => change("status", event.currentTarget.value)}
        data={[{ value: "", label: t("order.anyStatus") }, ...STATUSES.map((value) => ({ value, label: code("status", value) }))]}
      />
    </div>
  );
}

export function Table({ items }: { items: TicketItem[] }) {
  const { t } = useSpeech();
  return (
    <div className="scroll">
      <table className="list middle">
        <thead>
          <tr>
            <th scope="col">{t("order.ref")}</th>
            <th scope="col">{t("order.subject")}</th>
            <th scope="col">{t("order.asset")}</th>
            <th scope="col">{t("order.priority")}</th>
            <th scope="col">{t("order.status")}</th>
            <th scope="col">{t("order.assignee")}</th>
            <th scope="col">{t("order.due")}</th>
            <th scope="col">{t("order.opened")}</th>
          </tr>
        </thead>
        <tbody>{items.map((ticket) => <Row key={ticket.ticket_id} ticket={ticket} />)}</tbody>
      </table>
    </div>
  );
}

function Row({ ticket }: { ticket: TicketItem }) {
  const speech = useSpeech();
  const now = useNow();
  const open = `/orders/${ticket.ticket_id}`;
  return (
    <tr className="link" onClick={(event) => !(event.target as HTMLElement).closest("a,button") && go(open)}>
      <td className="nowrap soft">{ticket.ref}</td>
      <td>
        <a className="title" href={`#${open}`} {...{ [ROW]: "" }}>{ticket.title}</a>
        <div className="small soft">{speech.code("kind", ticket.kind)}</div>
      </td>
      <td>
        {ticket.asset ? <>{ticket.asset.code} <span className="soft">{ticket.asset.name}</span></> : <span className="soft">–</span>}
        {ticket.asset?.location && <div className="small soft">{ticket.asset.location}</div>}
      </td>
      <td><PriorityMark priority={ticket.priority} /></td>
      <td><StatusChip status={ticket.status} /></td>
      <td>{ticket.assignee?.name ?? <span className="soft">{speech.t("order.unassigned")}</span>}</td>
      <td className="nowrap"><Due ticket={ticket} /></td>
      <td className="nowrap soft">{moment(ticket.opened_at, now, speech)}</td>
    </tr>
  );
}
