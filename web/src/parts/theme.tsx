// Mantine's theme on our own calm tokens (styles/base.css), and the light/dark choice.
import { createTheme, useComputedColorScheme, useMantineColorScheme, type MantineColorsTuple } from "@mantine/core";

const steel: MantineColorsTuple = [
  "#eff4f9", "#dfe8f0", "#bcd1e3", "#8fc0ea", "#6ea3ce", "#4f86b3", "#3b719f", "#2d5f8b", "#24557f", "#183d5d",
];

export const theme = createTheme({
  primaryColor: "steel",
  primaryShade: { light: 7, dark: 3 },
  autoContrast: true,
  colors: { steel },
  defaultRadius: "sm",
  fontFamily: "var(--mw-font)",
  respectReducedMotion: true,
  focusRing: "auto",
});

export function useScheme(): "light" | "dark" {
  return useComputedColorScheme("light", { getInitialValueInEffect: false });
}

export function useToggleScheme(): () => void {
  const { setColorScheme } = useMantineColorScheme();
  const scheme = useScheme();
  return () => setColorScheme(scheme === "dark" ? "light" : "dark");
}
