// Who is here decides what is shown: the door, the engineer's phone, or the planner's console.
import { lazy, Suspense, useEffect } from "react";
import { Problem } from "./api/client";
import { useClock, useMe } from "./api/queries";
import type { Me } from "./api/types";
import { hasChosenLanguage, useSpeech } from "./i18n";
import { Bones, Failed } from "./parts/states";
import { useRoute } from "./router";

const Console = lazy(() => import("./console/shell"));
const Phone = lazy(() => import("./phone/shell"));
const SignIn = lazy(() => import("./session/sign_in").then((door) => ({ default: door.SignIn })));
const Invite = lazy(() => import("./session/sign_in").then((door) => ({ default: door.Invite })));
const BackAtTheDoor = lazy(() => import("./session/sign_in").then((door) => ({ default: door.BackAtTheDoor })));
const LinkSignIn = lazy(() => import("./session/sign_in").then((door) => ({ default: door.LinkSignIn })));

async function leave(): Promise<void> {
  const door = await import("./session/sign_in");
  await door.signOut();
}

export function App() {
  const route = useRoute();
  const [section, token, more] = route.path;
  return (
    <Suspense fallback={<Waiting />}>
      {section === "link" && token ? <LinkSignIn token={token} />
        : section === "invite" && token ? <Invite token={token} />
        : section === "door" ? <BackAtTheDoor kind={token} value={more ?? ""} />
        : <Inside section={section} />}
    </Suspense>
  );
}

function Inside({ section }: { section: string | undefined }) {
  const me = useMe();
  const signedOut = me.error instanceof Problem && me.error.status === 401;
  if (signedOut) return <SignIn ended={me.data !== undefined} />;
  if (me.data) return <Home me={me.data} section={section} />;
  if (me.isError) return <main style={{ padding: 16 }}><Failed error={me.error} retry={() => void me.refetch()} /></main>;
  return <Waiting />;
}

function Home({ me, section }: { me: Me; section: string | undefined }) {
  const { setZone, setLanguage } = useSpeech();
  useClock();
  useEffect(() => setZone(me.site.timezone || "UTC"), [me.site.timezone, setZone]);
  useEffect(() => {
    if (!hasChosenLanguage() && (me.locale === "en" || me.locale === "zh")) setLanguage(me.locale);
  }, [me.locale, setLanguage]);
  const phone = !me.second_needed && (section === "my" || (section === undefined && me.role === "engineer"));
  return phone ? <Phone me={me} signOut={() => void leave()} /> : <Console me={me} signOut={() => void leave()} />;
}

function Waiting() {
  return <main style={{ padding: 16 }}><Bones rows={3} height={108} /></main>;
}
