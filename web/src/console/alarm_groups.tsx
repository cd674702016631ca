// Common causes: alarms that began together, the order that looks for why, and who broke out as a fault of its own.
import { useGroup, useGroups, type Group, type Member } from "../api/alarms";
import { useSpeech } from "../i18n";
import { number } from "../i18n/format";
import { Age, ToneMark } from "../parts/marks";
import { Await, Empty } from "../parts/states";
import { ROW } from "./list_keys";

export function Groups() {
  const { t } = useSpeech();
  const groups = useGroups();
  return (
    <Await query={groups}>
      {(items) =>
        items.length === 0 ? (
          <div className="panel"><Empty title={t("alarms.noGroups")} hint={t("alarms.noGroupsHint")} /></div>
        ) : (
          <div className="scroll">
            <table className="list cards">
              <thead>
                <tr>
                  <th scope="col">{t("alarms.scope")}</th>
                  <th scope="col">{t("alarms.why")}</th>
                  <th scope="col" className="num">{t("alarms.members")}</th>
                  <th scope="col" className="num">{t("alarms.brokeOut")}</th>
                  <th scope="col">{t("alarms.since")}</th>
                  <th scope="col">{t("alarms.state")}</th>
                  <th scope="col">{t("alarms.order")}</th>
                </tr>
              </thead>
              <tbody>{items.map((one) => <GroupRow key={one.group_id} one={one} />)}</tbody>
            </table>
          </div>
        )
      }
    </Await>
  );
}

function GroupRow({ one }: { one: Group }) {
  const speech = useSpeech();
  const { t, say } = speech;
  return (
    <tr>
      <th scope="row">
        <a className="title" href={`#/alarms/groups/${one.group_id}`} {...{ [ROW]: "" }}>{say(one.scope)}</a>
        <div className="soft small">{say(one.cause)}</div>
      </th>
      <td data-label={t("alarms.why")} style={{ minWidth: 240 }}>{say(one.why)}</td>
      <td className="num" data-label={t("alarms.members")}>{number(one.members, speech)}</td>
      <td className="num" data-label={t("alarms.brokeOut")}>{number(one.broke_out, speech)}</td>
      <td data-label={t("alarms.since")}><Age at={one.first_at} /></td>
      <td data-label={t("alarms.state")}><GroupState one={one} /></td>
      <td data-label={t("alarms.order")}>
        {one.ticket ? <a href={`#/orders/${one.ticket.ticket_id}`}>{one.ticket.ref}</a> : <span className="soft">–</span>}
      </td>
    </tr>
  );
}

function GroupState({ one }: { one: Group }) {
  const { t } = useSpeech();
  if (one.closed_at) return <span className="soft">{t("alarms.groupClosed")}</span>;
  if (one.ended_at) return <span>{t("alarms.groupEnded")}</span>;
  return <ToneMark tone="watch">{t("alarms.groupOn")}</ToneMark>;
}

export function GroupPage({ groupId }: { groupId: number }) {
  const { t, say } = useSpeech();
  const group = useGroup(groupId);
  return (
    <Await query={group}>
      {(one) => (
        <div className="stack">
          <div className="panel stack">
            <h2>{say(one.scope)}: {say(one.cause)}</h2>
            <p>{say(one.why)}</p>
            <div className="row">
              <GroupState one={one} />
              {one.ticket && <a href={`#/orders/${one.ticket.ticket_id}`}>{one.ticket.ref}</a>}
            </div>
          </div>
          <div className="scroll">
            <table className="list cards">
              <thead>
                <tr>
                  <th scope="col">{t("alarms.machine")}</th>
                  <th scope="col">{t("alarms.state")}</th>
                  <th scope="col">{t("alarms.why")}</th>
                </tr>
              </thead>
              <tbody>{one.who.map((member) => <MemberRow key={member.alarm_id} member={member} />)}</tbody>
            </table>
          </div>
        </div>
      )}
    </Await>
  );
}

function MemberRow({ member }: { member: Member }) {
  const { t, say } = useSpeech();
  return (
    <tr>
      <th scope="row">
        <a className="title" href={`#/assets/${member.asset_id}`} {...{ [ROW]: "" }}>{member.asset_code}</a>
        <div className="soft small">{member.asset_name}</div>
      </th>
      <td data-label={t("alarms.state")}>
        {member.left_at ? <ToneMark tone="watch">{t("alarms.ownFault")}</ToneMark> : t(member.returned_at ? "alarms.returned" : "alarms.waits")}
      </td>
      <td data-label={t("alarms.why")}>{say(member.why)}</td>
    </tr>
  );
}
