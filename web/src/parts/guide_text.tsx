// What a guide says: the text, then its steps with what is measured, their limits and pictures.
import type { GuideStep } from "../api/guides";
import type { Words } from "../api/types";
import { contentUrl } from "../api/work";
import { useSpeech } from "../i18n";
import { limits } from "./guide_limits";
import { Markdown } from "./markdown";
import "../styles/guides.css";

export function GuideText({ body, steps }: { body: Words; steps: GuideStep[] }) {
  const { t, say } = useSpeech();
  return (
    <div className="stack">
      {say(body) && <Markdown text={say(body)} />}
      {steps.length > 0 && (
        <>
          <h3>{t("guides.steps")}</h3>
          <ol className="guide-steps stack">{steps.map((step, at) => <Step key={at} step={step} />)}</ol>
        </>
      )}
    </div>
  );
}

function Step({ step }: { step: GuideStep }) {
  const { t, say } = useSpeech();
  const asked = limits(step);
  return (
    <li>
      <span className="written">{say(step.text)}</span>
      {asked && <> <span className="chip">{asked}</span></>}
      {step.sources.length > 0 && <div className="soft small">{t("guides.from", { refs: step.sources.join(", ") })}</div>}
      {step.picture !== null && <img src={contentUrl(step.picture, "large")} alt={say(step.text)} loading="lazy" style={{ maxWidth: "100%", borderRadius: 6, marginTop: 6 }} />}
    </li>
  );
}
