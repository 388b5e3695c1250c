import { useSyncExternalStore } from 'react';

const formats = {
  time: new Intl.DateTimeFormat(undefined, { hour: 'numeric', minute: '2-digit' }),
  weekday: new Intl.DateTimeFormat(undefined, { weekday: 'short' }),
  day: new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short' }),
  year: new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short', year: 'numeric' }),
  longDay: new Intl.DateTimeFormat(undefined, { weekday: 'long', day: 'numeric', month: 'long' }),
  longYear: new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'long', year: 'numeric' }),
  full: new Intl.DateTimeFormat(undefined, { dateStyle: 'full', timeStyle: 'short' }),
};
const ago = new Intl.RelativeTimeFormat(undefined, { numeric: 'auto', style: 'short' });

/** Midnight of a time's day, by the clocks here. */
export function dayOf(time: string | number): number {
  return new Date(time).setHours(0, 0, 0, 0);
}

function daysAgo(time: string, now: number): number {
  return Math.round((dayOf(now) - dayOf(time)) / 86_400_000);
}

/** `14:05` */
export function clock(time: string | number): string {
  return formats.time.format(new Date(time));
}

/** Everything there is to say of a time, for titles. */
export function full(time: string | number): string {
  return formats.full.format(new Date(time));
}

/** For lists: `now`, `5 min. ago`, `14:05`, `Tue`, `3 Nov`. */
export function short(time: string, now: number): string {
  const minutes = Math.floor((now - Date.parse(time)) / 60_000);
  if (minutes < 1) return 'now';
  if (minutes < 60) return `${minutes} min`;
  const days = daysAgo(time, now);
  const date = new Date(time);
  if (days === 0) return formats.time.format(date);
  if (days < 7) return formats.weekday.format(date);
  return (date.getFullYear() === new Date(now).getFullYear() ? formats.day : formats.year).format(date);
}

/** For the line between two days: `Today`, `Yesterday`, `Tuesday, 3 November`. */
export function dayName(day: number, now: number): string {
  const days = Math.round((dayOf(now) - day) / 86_400_000);
  if (days === 0 || days === 1) {
    const name = ago.format(-days, 'day');
    return name.charAt(0).toUpperCase() + name.slice(1);
  }
  const date = new Date(day);
  return (date.getFullYear() === new Date(now).getFullYear() ? formats.longDay : formats.longYear).format(date);
}

/** `last seen 5 min. ago` */
export function since(time: string, now: number): string {
  const minutes = Math.max(0, Math.floor((now - Date.parse(time)) / 60_000));
  if (minutes < 60) return ago.format(-minutes, 'minute');
  if (minutes < 24 * 60) return ago.format(-Math.floor(minutes / 60), 'hour');
  if (minutes < 30 * 24 * 60) return ago.format(-Math.floor(minutes / 1440), 'day');
  return formats.year.format(new Date(time));
}

let minute = Date.now();
const watchers = new Set<() => void>();
let timer: ReturnType<typeof setInterval> | undefined;

/** The time, told again every half minute: one timer for all that show how long something is ago. */
export function useNow(): number {
  return useSyncExternalStore(watch, () => minute);
}

function watch(listener: () => void): () => void {
  watchers.add(listener);
  timer ??= setInterval(() => {
    minute = Date.now();
    for (const watcher of watchers) watcher();
  }, 30_000);
  return () => {
    watchers.delete(listener);
    if (watchers.size > 0) return;
    clearInterval(timer);
    timer = undefined;
  };
}
