import react from '@vitejs/plugin-react';
import { defineConfig, type Plugin } from 'vite';

/** What is below /bff/ comes from the gateway when the page runs, not from the project. */
const fromTheGateway: Plugin = {
  name: 'from-the-gateway',
  enforce: 'pre',
  resolveId: (id) => (id.startsWith('/bff/') ? { id, external: true } : null),
};

export default defineConfig({ plugins: [fromTheGateway, react()] });
