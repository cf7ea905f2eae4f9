// Puts a call on hold at headquarters' pages, or lets it go, as a person with a keyboard would: logs in, opens the call,
// goes to the reason by Tab, writes it, and presses Enter.
//
//   node hold.mjs URL USER PASSWORD OUTDIR CALLID on|off REASON
//
// It saves hold-on.png (or off), the same dark and on a phone, and the page of recorders, in OUTDIR and prints one line of JSON. It
// fails (exit code 1, with "error" in the JSON) where the page does not say so afterwards, where something is wider than a
// phone, or where the browser's console shows an error.
import { join } from 'node:path'
import { phone, session } from './session.mjs'

const [url, user, password, out, call, what, reason] = process.argv.slice(2)
if (!reason) {
  console.error('usage: node hold.mjs URL USER PASSWORD OUTDIR CALLID on|off REASON')
  process.exit(2)
}

const desktop = { width: 1280, height: 1000 }
const result = { call, what }
await session({ url, user, password, out, desktop, result }, hold)

async function hold(page) {
  await page.goto(new URL(`/calls/${call}`, url).href)

  for (let presses = 0; !(await page.evaluate(() => document.activeElement.id === 'why')); presses++) {
    if (presses > 60) throw new Error('Tab does not come to the reason')
    await page.keyboard.press('Tab')
  }
  await page.keyboard.type(reason)
  await Promise.all([page.waitForURL((to) => to.hash === '#hold'), page.keyboard.press('Enter')])
  result.said = await page.locator('#hold ul.wanted li').first().innerText()
  if (!result.said.includes(reason)) throw new Error(`the page says ${result.said}`)
  if ((await page.locator('#hold .badge').count() === 1) !== (what === 'on')) throw new Error('the page does not say that it is so')
  await pictures(page, `hold-${what}`)
  await page.goto(new URL('/recorders', url).href)
  await pictures(page, `recorders-${what}`)
}

async function pictures(page, name) {
  await page.screenshot({ path: join(out, `${name}.png`) })
  await page.emulateMedia({ colorScheme: 'dark' })
  await page.screenshot({ path: join(out, `${name}-dark.png`) })
  await page.emulateMedia({ colorScheme: 'light' })
  await page.setViewportSize(phone)
  const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)
  await page.screenshot({ path: join(out, `${name}-phone.png`), fullPage: true })
  await page.setViewportSize(desktop)
  if (over > 0) throw new Error(`${name} is ${over} pixels wider than a phone`)
}
