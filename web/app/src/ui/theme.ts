import { createStore } from '../store';

export type Theme = 'system' | 'light' | 'dark';

const key = 'parley.theme';

/** How the app looks on this device. */
export const theme = createStore<Theme>(load());

function load(): Theme {
  try {
    const kept = localStorage.getItem(key);
    return kept === 'light' || kept === 'dark' ? kept : 'system';
  } catch {
    return 'system'; // the browser forbids to keep anything
  }
}

function show(): void {
  const value = theme.get();
  if (value === 'system') delete document.documentElement.dataset['theme'];
  else document.documentElement.dataset['theme'] = value;
}

show();
theme.subscribe(() => {
  show();
  try {
    localStorage.setItem(key, theme.get());
  } catch {
    // until the page is closed, then
  }
});
