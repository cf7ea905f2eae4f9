// Looks at headquarters' pages as a person would: logs in, finds a call in the list, opens and plays it.
//
//   node page.mjs URL USER PASSWORD OUTDIR [CALLID]
//
// It saves list.png, call.png, list-phone.png and call-phone.png in OUTDIR and prints one line of JSON. It fails (exit
// code 1, with "error" in the JSON) where the audio does not advance, is not as long as the page says, or where the
// browser's console shows an error, which a violation of the content security policy is too.
import { join } from 'node:path'
import { phone, session } from './session.mjs'

const [url, user, password, out, wanted] = process.argv.slice(2)
if (!out) {
  console.error('usage: node page.mjs URL USER PASSWORD OUTDIR [CALLID]')
  process.exit(2)
}

const desktop = { width: 1280, height: 860 }
const result = { url }
await session({ url, user, password, out, desktop, result }, look)

async function look(page) {
  const row = wanted ? `#call-${wanted}` : 'tr.call:has([data-play])'
  await page.waitForSelector(row)
  result.calls = await page.locator('tr.call').count()
  await page.locator('.wave').first().waitFor()
  await pictures(page, 'list')
  await page.locator(row).first().locator('td.when a').click()

  await page.waitForSelector('#player')
  result.call = new URL(page.url()).pathname.split('/').pop()
  result.shown = Number(await page.getAttribute('#player', 'data-seconds'))
  result.decoded = await duration(page)
  const slack = 0.25 + result.shown * 0.01 // codecs fill up their last frame
  if (!(Math.abs(result.decoded - result.shown) < slack)) {
    throw new Error(`the audio lasts ${result.decoded} s, the page says ${result.shown} s`)
  }
  await page.locator('#waveform canvas').first().waitFor()

  await page.click('#play')
  const first = await passed(page, 0)
  result.played = await passed(page, first + Math.min(1, result.shown / 4))
  await page.keyboard.press('ArrowRight')
  const target = Math.min(result.played + 4, result.shown - 0.5)
  result.sought = await passed(page, Math.max(target, 0))
  await pictures(page, 'call')
}

// duration is how long the browser takes the audio to be, once it knows.
async function duration(page) {
  await page.waitForFunction(() => document.querySelector('#audio').readyState >= 1)
  return page.evaluate(() => document.querySelector('#audio').duration)
}

// passed waits until the audio has gone past a place, in seconds, and gives where it is then.
async function passed(page, place) {
  await page.waitForFunction((s) => document.querySelector('#audio').currentTime > s, place)
  return page.evaluate(() => document.querySelector('#audio').currentTime)
}

async function pictures(page, name) {
  await page.screenshot({ path: join(out, `${name}.png`) })
  await page.setViewportSize(phone)
  await page.waitForTimeout(500) // the waveform is drawn anew
  await page.screenshot({ path: join(out, `${name}-phone.png`) })
  await page.setViewportSize(desktop)
}
