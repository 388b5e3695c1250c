import type { CSSProperties } from 'react';

interface Props {
  /** Whose: the colour follows from it, and stays. */
  id: string;
  name: string;
  url: string | null;
  /** A group's is no circle. */
  group?: boolean;
  online?: boolean;
  /** Its side, as a length of CSS. */
  size?: string;
}

/** A picture or, where there is none, initials. It says nothing to a screen reader: the name stands beside it. */
export function Avatar({ id, name, url, group = false, online = false, size }: Props) {
  const style = { '--hue': hue(id), ...(size && { '--size': size }) } as CSSProperties; // custom properties are not among its keys
  return (
    <span className={group ? 'avatar group' : 'avatar'} style={style} aria-hidden="true">
      {url ? <img className="face" src={url} alt="" loading="lazy" /> : <span className="face">{initials(name)}</span>}
      {online && <span className="dot" />}
    </span>
  );
}

function initials(name: string): string {
  const words = name.split(/[\s._-]+/).filter((word) => /\p{L}|\p{N}/u.test(word));
  const letter = (word: string | undefined) => (word?.match(/\p{L}|\p{N}/u)?.[0] ?? '').toUpperCase();
  return letter(words[0]) + (words.length > 1 ? letter(words.at(-1)) : '') || '?';
}

/** One of 24 hues. */
function hue(id: string): number {
  let hash = 0x811c9dc5; // FNV-1a: the ids of people who came together differ by little
  for (const letter of id) hash = Math.imul(hash ^ letter.charCodeAt(0), 0x01000193);
  return ((hash >>> 8) % 24) * 15 + 5;
}
