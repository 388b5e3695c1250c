import { expect, test } from 'vitest';
import { clockOf, zones } from './hours';

test('clocks have hours and minutes', () => {
  expect(['00:00', '07:30', '23:59'].every(clockOf)).toBe(true);
  expect(['', '7:30', '24:00', '12:60', '12:00:00'].some(clockOf)).toBe(false);
});

test('a zone that is in use can be chosen, once, whether the browser knows it or not', () => {
  const all = zones('Europe/Berlin', 'Mars/Olympus');
  expect(all).toEqual(expect.arrayContaining(['UTC', 'Europe/Berlin', 'Asia/Tokyo', 'Mars/Olympus']));
  expect(new Set(all).size).toBe(all.length);
});
