import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { MantineProvider } from "@mantine/core";
import { QueryClientProvider } from "@tanstack/react-query";
import { Problem } from "./api/client";
import { keepAnswers, restoreKept } from "./api/keep";
import { queryClient } from "./api/queries";
import { App } from "./app";
import { SpeechProvider } from "./i18n";
import { theme } from "./parts/theme";
import "./styles/mantine.css";
import "./styles/base.css";

restoreKept(queryClient);
keepAnswers(queryClient);
queryClient.getQueryCache().config.onError = (error, query) => {
  const ended = error instanceof Problem && error.status === 401 && query.queryKey[0] !== "me";
  if (ended) void queryClient.invalidateQueries({ queryKey: ["me"] });
};

createRoot(document.getElementById("root")!).render(
  <StrictMode>
    <QueryClientProvider client={queryClient}>
      <MantineProvider theme={theme} defaultColorScheme="auto">
        <SpeechProvider>
          <App />
        </SpeechProvider>
      </MantineProvider>
    </QueryClientProvider>
  </StrictMode>,
);

// A chunk of an older build is gone after an update: load the new build once, not for ever.
window.addEventListener("vite:preloadError", (event) => {
  const last = Number(sessionStorage.getItem("millwright.reloaded") ?? 0);
  if (Date.now() - last < 30_000) return;
  event.preventDefault();
  sessionStorage.setItem("millwright.reloaded", String(Date.now()));
  window.location.reload();
});

// The offline shell comes after the first paint, so that it never competes with it.
if (import.meta.env.PROD && "serviceWorker" in navigator) {
  window.addEventListener("load", () => {
    window.setTimeout(() => {
      navigator.serviceWorker.register("./sw.js").catch((error: unknown) => {
        console.warn("millwright: no offline shell", error); // plain http inside a plant: the app works without it
      });
    }, 2500);
  });
}
