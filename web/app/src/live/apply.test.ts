import { expect, test } from 'vitest';
import { createCache } from '../cache';

test('a cache', () => {
  expect(createCache().extract()).toEqual({});
});
