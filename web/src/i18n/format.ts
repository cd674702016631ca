// Numbers, spans and times as people read them. Hours in, words out.
import type { Speech } from "./index";

/** Three significant digits, never an exponent: 0.0123, 3.21, 48.5, 1,480. */
export function number(value: number | null | undefined, speech: Speech): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  const digits = size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3;
  return new Intl.NumberFormat(speech.language, { maximumFractionDigits: digits }).format(value || 0); // −0 is 0
}

/** A number with its unit; a ratio says so. */
export function quantity(value: number | null | undefined, unit: string, speech: Speech): string {
  const label = unitLabel(unit, speech);
  return label ? `${number(value, speech)} ${label}` : number(value, speech);
}

/** A signal's name in the reader's language where the dictionary has its code, else as the plant named it. */
export function signalName(signal: { code: string; name?: string }, speech: Speech): string {
  return speech.known("signal", signal.code) ?? (signal.name || signal.code.replaceAll("_", " "));
}

/** A failure mode by its code; a sensor's fault is coded `sensor:SIGNAL:FAULT`. */
export function modeName(code: string, speech: Speech): string {
  const [kind, signal, fault] = code.split(":");
  if (kind === "source" && signal) return speech.t(signal === "many" ? "sourceFault.many" : "sourceFault.one", { source: signal });
  if (kind !== "sensor" || !signal || !fault) return speech.code("mode", code);
  return speech.t("sensorFault.sensor", { signal: signalName({ code: signal }, speech), fault: speech.code("sensorFault", fault) });
}

export function unitLabel(unit: string, speech: Speech): string {
  if (unit === "1") return speech.t("unit.ratio");
  return unit.replace("m3", "m³").replace("degC", "°C");
}

/** A probability: nobody is ever quite sure. */
export function chance(share: number | null | undefined): string {
  return share !== null && share !== undefined && share > 0.99 ? "> 99 %" : percent(share);
}

export function percent(share: number | null | undefined): string {
  if (share === null || share === undefined || !Number.isFinite(share)) return "–";
  if (share > 0.99 && share < 1) return "> 99 %";
  if (share > 0 && share < 0.01) return "< 1 %";
  return `${Math.round(share * 100)} %`;
}

export function money(amount: number, currency: string, speech: Speech): string {
  const style = { style: "currency", currency, maximumFractionDigits: 0 } as const;
  try {
    return new Intl.NumberFormat(speech.language, style).format(amount);
  } catch {
    return `${number(amount, speech)} ${currency}`; // a currency code that Intl does not know
  }
}

/** One unit, at most two digits and a half: 40 s, 12 min, 5.5 h, 3.2 d. */
export function span(hours: number, speech: Speech): string {
  const seconds = Math.max(0, hours * 3600);
  if (seconds < 60) return speech.t("span.s", { n: Math.round(seconds) });
  if (seconds < 3600) return speech.t("span.min", { n: Math.round(seconds / 60) });
  if (hours < 48) return speech.t("span.h", { n: short(hours) });
  return speech.t("span.d", { n: short(hours / 24) });
}

export function age(fromMs: number, nowMs: number, speech: Speech): string {
  const seconds = (nowMs - fromMs) / 1000;
  if (seconds < 1.5) return speech.t("age.now");
  return speech.t("age.ago", { span: span(seconds / 3600, speech) });
}

/** "14:05" today, "Thu 14:05" within a week, "23 Nov 14:05" otherwise, in the plant's time zone. */
export function moment(at: string | number, nowMs: number, speech: Speech): string {
  const time = typeof at === "number" ? at : Date.parse(at);
  const clock = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" } as const;
  if (day(time, speech) === day(nowMs, speech)) return format(time, clock, speech);
  const near = Math.abs(time - nowMs) < 6 * 86_400_000;
  const date = format(time, near ? { weekday: "short" } : { day: "numeric", month: "short" }, speech);
  return `${date} ${format(time, clock, speech)}`;
}

export function fullMoment(at: string | number, speech: Speech): string {
  const time = typeof at === "number" ? at : Date.parse(at);
  return format(time, { dateStyle: "medium", timeStyle: "medium" }, speech) + ` ${speech.zone}`;
}

function short(value: number): string {
  return value < 10 ? String(Math.round(value * 10) / 10) : String(Math.round(value));
}

function day(time: number, speech: Speech): string {
  return format(time, { year: "numeric", month: "numeric", day: "numeric" }, speech);
}

const formats = new Map<string, Intl.DateTimeFormat>();

function format(time: number, options: Intl.DateTimeFormatOptions, speech: Speech): string {
  const key = speech.language + speech.zone + JSON.stringify(options);
  let formatter = formats.get(key);
  if (!formatter) {
    formatter = new Intl.DateTimeFormat(speech.language === "zh" ? "zh-CN" : "en-GB", {
      timeZone: speech.zone,
      ...options,
    });
    formats.set(key, formatter);
  }
  return formatter.format(time);
}
