// Words in the reader's language, numbers with their units, times in the plant's time zone.
import { createContext, useCallback, useContext, useEffect, useMemo, useState, type ReactNode } from "react";
import type { Language, Words } from "../api/types";
import { en, type Key } from "./en";
import { zh } from "./zh";

export type { Key } from "./en";

const DICTIONARIES: Record<Language, Record<Key, string>> = { en, zh };
const LANGUAGE_KEY = "millwright.language";

type Values = Record<string, string | number>;
export type Speech = {
  language: Language;
  setLanguage: (language: Language) => void;
  zone: string;
  setZone: (zone: string) => void;
  /** A sentence of the dictionary with its blanks filled. */
  t: (key: Key, values?: Values) => string;
  /** The word for a code of the API; an unknown code is shown as it is, never hidden. */
  code: (family: string, value: string | number | null | undefined) => string;
  /** The same, but nothing for a code that has no word. */
  known: (family: string, value: string) => string | undefined;
  /** A text that came in both languages. */
  say: (words: Words | string | null | undefined) => string;
};

const SpeechContext = createContext<Speech | null>(null);

export function SpeechProvider({ children }: { children: ReactNode }) {
  const [language, choose] = useState<Language>(firstLanguage);
  const [zone, setZone] = useState("UTC");
  const setLanguage = useCallback((next: Language) => {
    localStorage.setItem(LANGUAGE_KEY, next);
    choose(next);
  }, []);
  useEffect(() => {
    document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  }, [language]);
  const speech = useMemo(() => speak(language, setLanguage, zone, setZone), [language, setLanguage, zone]);
  return <SpeechContext.Provider value={speech}>{children}</SpeechContext.Provider>;
}

export function useSpeech(): Speech {
  const speech = useContext(SpeechContext);
  if (!speech) throw new Error("useSpeech outside of SpeechProvider");
  return speech;
}

export function hasChosenLanguage(): boolean {
  return localStorage.getItem(LANGUAGE_KEY) !== null;
}

function speak(language: Language, setLanguage: Speech["setLanguage"], zone: string, setZone: Speech["setZone"]): Speech {
  const words = DICTIONARIES[language];
  return {
    language,
    setLanguage,
    zone,
    setZone,
    t: (key, values) => fill(words[key], values),
    code: (family, value) => {
      if (value === null || value === undefined) return "";
      const known = (words as Record<string, string>)[`${family}.${value}`];
      return known ?? String(value).replaceAll("_", " ");
    },
    known: (family, value) => (words as Record<string, string>)[`${family}.${value}`],
    say: (text) => (text ? (typeof text === "string" ? text : text[language] || text.en) : ""),
  };
}

function fill(template: string, values?: Values): string {
  return values ? template.replace(/\{(\w+)\}/g, (blank, name: string) => String(values[name] ?? blank)) : template;
}

function firstLanguage(): Language {
  const chosen = localStorage.getItem(LANGUAGE_KEY);
  if (chosen === "en" || chosen === "zh") return chosen;
  return navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en";
}
