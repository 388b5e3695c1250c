/**
 * Whether a key sends what is written. The Enter that ends the composition of an input method does not: Safari tells of it
 * after the composition, by an old code.
 */
export function sends({ key, shiftKey, isComposing, keyCode }: Pick<KeyboardEvent, 'key' | 'shiftKey' | 'isComposing' | 'keyCode'>): boolean {
  return key === 'Enter' && !shiftKey && !isComposing && keyCode !== 229;
}
