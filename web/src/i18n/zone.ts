// Between moments and what a clock in some zone shows: forms ask in the site's time, wherever the reader sits.

const MINUTE_MS = 60_000;

/** "YYYY-MM-DDTHH:MM" as the zone's clock shows the moment. */
export function localAt(at: string | number, zone: string): string {
  const time = typeof at === "number" ? at : Date.parse(at);
  return new Date(time + offset(time, zone)).toISOString().slice(0, 16);
}

/** The moment at which the zone's clock shows "YYYY-MM-DDTHH:MM"; an hour that it skips falls on the one after. */
export function momentAt(local: string, zone: string): string {
  const shown = Date.parse(`${local}:00Z`);
  const first = shown - offset(shown, zone);
  return new Date(shown - offset(first, zone)).toISOString();
}

function offset(time: number, zone: string): number {
  const clock = new Intl.DateTimeFormat("en-CA", {
    timeZone: zone, hourCycle: "h23", year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit",
  });
  const part = Object.fromEntries(clock.formatToParts(time).map((one) => [one.type, Number(one.value)]));
  const local = Date.UTC(part.year!, part.month! - 1, part.day, part.hour, part.minute, part.second);
  return Math.round((local - time) / MINUTE_MS) * MINUTE_MS;
}
