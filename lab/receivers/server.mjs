// A stock tus server: @tus/server with its file store, behind TLS.
//
//   node server.mjs FOLDER KEY CERTIFICATE
//
// It prints the address at which it makes uploads, and serves until it is killed.
import { readFileSync } from 'node:fs'
import { createServer } from 'node:https'
import { FileStore } from '@tus/file-store'
import { Server } from '@tus/server'

const [folder, key, cert] = process.argv.slice(2)
// It takes itself to be reached over http, whatever it is behind, and says so in Location unless that is relative.
const tus = new Server({ path: '/files', relativeLocation: true, datastore: new FileStore({ directory: folder }) })
const https = createServer({ key: readFileSync(key), cert: readFileSync(cert) }, (req, res) => tus.handle(req, res))
https.listen(0, '127.0.0.1', () => console.log(`https://127.0.0.1:${https.address().port}/files`))
