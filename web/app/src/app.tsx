import type { Parley } from './parley';

export function App(_: { parley: Parley }) {
  return <main><h1>Parley</h1></main>;
}
