import { expect, test } from 'vitest';
import { sends } from './sends';

const enter = { key: 'Enter', shiftKey: false, isComposing: false, keyCode: 13 };

test.each([
  ['Enter', enter, true],
  ['with Shift it is a new line', { ...enter, shiftKey: true }, false],
  ['another key', { ...enter, key: 'a', keyCode: 65 }, false],
  ['in a composition', { ...enter, isComposing: true, keyCode: 229 }, false],
  ['at the end of a composition in Safari', { ...enter, keyCode: 229 }, false],
])('%s', (_, event, sent) => expect(sends(event)).toBe(sent));
