// Dark or light: the system's choice until the switch is used, then the reader's.

const KEY = "bellwether-theme";

const systemTheme = () => (matchMedia("(prefers-color-scheme: light)").matches ? "light" : "dark");

export function applyTheme() {
  document.documentElement.dataset.theme = localStorage.getItem(KEY) ?? systemTheme();
}

export function switchTheme() {
  const next = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
  if (next === systemTheme()) localStorage.removeItem(KEY);
  else localStorage.setItem(KEY, next);
  applyTheme();
  document.dispatchEvent(new Event("theme-changed"));
}

matchMedia("(prefers-color-scheme: light)").addEventListener("change", () => {
  applyTheme();
  document.dispatchEvent(new Event("theme-changed"));
});

// A colour of the style sheet, for canvases.
export const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

export const seriesColour = (index) => colour(`series-${index % 8}`);
