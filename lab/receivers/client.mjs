// A stock tus client: tus-js-client uploads a call file to headquarters as a recorder, with its certificate. After so many
// bytes it stops in the middle, as a link that is cut would have it; then it looks the upload up and goes on.
//
//   node client.mjs ENDPOINT IDENTITY FILE CALL SHA256 CUT
//
// It prints, as JSON, where the upload went on and the receipt that came with the last byte.
import { createHash } from 'node:crypto'
import { createReadStream, readFileSync, statSync } from 'node:fs'
import { Agent } from 'node:https'
import * as tus from 'tus-js-client'

const [endpoint, identity, file, call, sha256, cut] = process.argv.slice(2)
const pem = (name) => readFileSync(`${identity}/${name}`)
const agent = new Agent({ key: pem('device.key'), cert: pem('device.crt'), ca: pem('hq-ca.crt'), keepAlive: false })
const said = { receipt: '', resumedAt: -1, size: statSync(file).size }

const upload = (url, onProgress) =>
  new Promise((resolve, reject) => {
    const u = new tus.Upload(createReadStream(file), {
      endpoint,
      uploadUrl: url,
      uploadSize: said.size,
      chunkSize: 16 << 10,
      retryDelays: null,
      metadata: { call, sha256 },
      httpStack: new tus.DefaultHttpStack({ agent }),
      onProgress: (sent) => onProgress(sent, u, resolve),
      onAfterResponse: (req, res) => {
        said.receipt = res.getHeader('Linekeeper-Receipt') ?? said.receipt
        if (req.getMethod() === 'HEAD') said.resumedAt = Number(res.getHeader('Upload-Offset'))
      },
      onError: reject,
      onSuccess: () => resolve(u.url),
    })
    u.start()
  })

// Cut: the request under way is aborted, and what it had brought stays at headquarters.
const url = await upload(undefined, (sent, u, resolve) => {
  if (sent >= Number(cut)) u.abort().then(() => resolve(u.url))
})
if (said.receipt) throw new Error('it had all bytes before it was cut')
await upload(url, () => {})
console.log(JSON.stringify(said))
