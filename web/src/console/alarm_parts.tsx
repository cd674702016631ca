// Signs that the pages of alarms share.
import { useSpeech } from "../i18n";
import { ToneMark } from "../parts/marks";

export function Severity({ value, quiet }: { value: number; quiet?: boolean }) {
  const { code } = useSpeech();
  const tone = quiet || value > 2 ? "calm" : value === 1 ? "alarm" : "watch";
  return <ToneMark tone={tone}>{code("severity", value)}</ToneMark>;
}
