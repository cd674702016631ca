// Work orders: filters, views, many at once, and a list that tells the due time and the person before a click.
import { Button, NativeSelect, SegmentedControl } from "@mantine/core";
import { useInfiniteQuery } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { call } from "../api/client";
import { useNow } from "../api/clock";
import { listPath, useSaved, type Asked, type Condition, type ListedTicket, type TicketList, type ViewBody } from "../api/lists";
import type { Me, TicketItem, TicketKind, TicketStatus } from "../api/types";
import { useSpeech } from "../i18n";
import { moment } from "../i18n/format";
import { PriorityMark, StatusChip } from "../parts/marks";
import { Due } from "../parts/sla";
import { Await, Empty } from "../parts/states";
import { go } from "../router";
import { BulkBar } from "./list_bulk";
import { Conditions } from "./list_filter";
import { ROW } from "./list_keys";
import { Views } from "./list_views";

const KINDS: TicketKind[] = ["preventive", "corrective", "inspection", "sensor-fault", "incident", "request"];
const STATUSES: TicketStatus[] = [
  "new", "assigned", "accepted", "arrived", "on_hold", "done", "verifying", "reopened", "closed", "cancelled",
];
const PAGE = 50;
const WHICH: Record<string, Condition[]> = {
  open: [{ field: "open", op: "is", value: true }],
  mine: [{ field: "open", op: "is", value: true }, { field: "mine", op: "is", value: true }],
  watched: [{ field: "watched", op: "is", value: true }],
  all: [],
};

export default function Orders({ search, me }: { search: URLSearchParams; me: Me }) {
  const { t } = useSpeech();
  const asked = askedBy(search);
  const [marked, setMarked] = useState<Map<number, ListedTicket>>(new Map());
  const views = useSaved<ViewBody>("view");
  const list = useInfiniteQuery({
    queryKey: ["ticket", "pages", asked],
    queryFn: ({ signal, pageParam }) => call<TicketList>(listPath(asked, { limit: PAGE, cursor: pageParam }), { signal }),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next,
    refetchInterval: 30_000,
  });
  const first = views.data?.find((each) => each.is_default);
  useEffect(() => {
    if (first && search.toString() === "") show(first.body);
  }, [first?.saved_id]);
  const items = list.data?.pages.flatMap((page) => page.items) ?? [];
  const plans = me.role === "planner" || me.role === "manager" || me.role === "admin";
  const mark = (ticket: ListedTicket, on: boolean) => {
    const next = new Map(marked);
    if (on) next.set(ticket.ticket_id, ticket);
    else next.delete(ticket.ticket_id);
    setMarked(next);
  };
  return (
    <>
      <div className="page-head">
        <div>
          <h1>{t("order.title")}</h1>
          {list.data && <p>{t("order.count", { n: items.length })}{asked.text && ` · “${asked.text}”`}</p>}
        </div>
        <Filters search={search} me={me} />
      </div>
      <Conditions conditions={conditionsOf(search)} change={(next) => to(search, "f", next.length ? JSON.stringify(next) : "")} />
      <Views asked={asked} me={me} choose={show} />
      {plans && <BulkBar chosen={items.filter((each) => marked.has(each.ticket_id))} clear={() => setMarked(new Map())} />}
      <Await query={list}>
        {() =>
          items.length === 0 ? (
            <div className="panel"><Empty title={t("order.empty")} hint={t("order.emptyHint")} /></div>
          ) : (
            <Table
              items={items} sort={{ by: asked.sort, change: (next) => to(search, "sort", next) }}
              marks={plans ? { has: (id) => marked.has(id), mark: (ticket, on) => mark(ticket as ListedTicket, on) } : undefined}
            />
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
function askedBy(search: URLSearchParams): Asked {
  const kind = search.get("kind");
  const status = search.get("status");
  return {
    filter: [
      ...(WHICH[search.get("which") ?? "open"] ?? []),
      ...(kind ? [{ field: "kind", op: "eq", value: kind }] : []),
      ...(status ? [{ field: "status", op: "eq", value: status }] : []),
      ...conditionsOf(search),
    ],
    sort: search.get("sort") ?? "",
    columns: [],
    text: search.get("q") ?? "",
  };
}

function conditionsOf(search: URLSearchParams): Condition[] {
  try {
    const found: unknown = JSON.parse(search.get("f") ?? "[]");
    return Array.isArray(found) ? (found as Condition[]) : [];
  } catch {
    return []; // a hand-typed address
  }
}

function show(view: ViewBody): void {
  const next = new URLSearchParams({ which: "all" });
  if (view.filter?.length) next.set("f", JSON.stringify(view.filter));
  if (view.sort?.length) next.set("sort", view.sort.join(","));
  if (view.text) next.set("q", view.text);
  go(`/orders?${next}`, "replace");
}

function to(search: URLSearchParams, name: string, value: string): void {
  const next = new URLSearchParams(search);
  if (value) next.set(name, value);
  else next.delete(name);
  // A closed status can only be found among all orders.
  if (name === "status" && (value === "closed" || value === "cancelled")) next.set("which", "all");
  go(`/orders?${next}`, "replace");
}

function Filters({ search, me }: { search: URLSearchParams; me: Me }) {
  const { t, code } = useSpeech();
  const change = (name: string, value: string) => to(search, name, value);
  const which = [
    { value: "open", label: t("order.open") },
    ...(me.engineer_id === null ? [] : [{ value: "mine", label: t("order.mine") }]),
    { value: "watched", label: t("find.watched") },
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

type Marks = { has: (ticketId: number) => boolean; mark: (ticket: TicketItem, on: boolean) => void };
type Sorting = { by: string; change: (next: string) => void };

export function Table({ items, marks, sort }: { items: TicketItem[]; marks?: Marks; sort?: Sorting }) {
  const { t } = useSpeech();
  return (
    <div className="scroll">
      <table className="list middle">
        <thead>
          <tr>
            {marks && <th scope="col"><span className="hidden">{t("bulk.mark")}</span></th>}
            <Head label={t("order.ref")} name="ref" sort={sort} />
            <th scope="col">{t("order.subject")}</th>
            <th scope="col">{t("order.asset")}</th>
            <Head label={t("order.priority")} name="priority" sort={sort} />
            <Head label={t("order.status")} name="status" sort={sort} />
            <th scope="col">{t("order.assignee")}</th>
            <Head label={t("order.due")} name="resolve_by" sort={sort} />
            <Head label={t("order.opened")} name="opened_at" sort={sort} />
          </tr>
        </thead>
        <tbody>{items.map((ticket) => <Row key={ticket.ticket_id} ticket={ticket} marks={marks} />)}</tbody>
      </table>
    </div>
  );
}

function Head({ label, name, sort }: { label: string; name: string; sort?: Sorting }) {
  if (!sort) return <th scope="col">{label}</th>;
  const order = sort.by === name ? "ascending" : sort.by === `-${name}` ? "descending" : undefined;
  const next = order === "ascending" ? `-${name}` : order === "descending" ? "" : name;
  return (
    <th scope="col" aria-sort={order}>
      <button type="button" className="plain sorter" onClick={() => sort.change(next)}>
        {label}{order === "ascending" ? " ↑" : order === "descending" ? " ↓" : ""}
      </button>
    </th>
  );
}

function Row({ ticket, marks }: { ticket: TicketItem; marks?: Marks }) {
  const speech = useSpeech();
  const now = useNow();
  const open = `/orders/${ticket.ticket_id}`;
  return (
    <tr className="link" onClick={(event) => !(event.target as HTMLElement).closest("a,button,input,label") && go(open)}>
      {marks && (
        <td>
          <input
            type="checkbox" aria-label={speech.t("bulk.markOne", { ref: ticket.ref })} checked={marks.has(ticket.ticket_id)}
            onChange={(event) => marks.mark(ticket, event.currentTarget.checked)}
          />
        </td>
      )}
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
