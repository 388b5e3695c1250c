import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { App } from './app';
import { createParley } from './parley';
import './ui/tokens.css';
import './ui/base.css';
import './ui/theme';

const root = document.getElementById('root');
if (!root) throw new Error('the page has no root');
if (location.pathname === '/duo') {
  void import('./duo/duo').then(({ show }) => show(root)); // for developers: the server has it in development only
} else {
  createRoot(root).render(
    <StrictMode>
      <App parley={createParley({ cookie: true })} />
    </StrictMode>,
  );
}
