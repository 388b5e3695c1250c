/** Whether a text is what the API calls a ClockTime, such as `07:30`. A time input that is half filled in is empty. */
export function clockOf(text: string): boolean {
  return /^([01]\d|2[0-3]):[0-5]\d$/.test(text);
}

/** `08:00` or `8 AM`, as people write it here. */
export function hourName(hour: number): string {
  return new Intl.DateTimeFormat(undefined, { hour: 'numeric', minute: '2-digit' }).format(new Date(2000, 0, 1, hour));
}

/** The time zones to choose from: those that the browser knows, `UTC`, and any others that are in use. */
export function zones(...others: string[]): string[] {
  return [...new Set(['UTC', ...others, ...Intl.supportedValuesOf('timeZone')])].sort();
}
