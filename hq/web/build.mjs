// Bundles the pages' script and style: `npm ci && npm run build`, or `make assets`.
import { build } from 'esbuild'

await build({
  entryPoints: ['assets/src/app.js', 'assets/src/call.js', 'assets/src/app.css', 'assets/src/icon.svg'],
  outdir: 'assets/dist',
  loader: { '.svg': 'copy' },
  bundle: true,
  minify: true,
  format: 'esm',
  target: ['es2022'],
  legalComments: 'none',
  logLevel: 'warning',
})
