// Puts a call on hold at headquarters' pages, or lets it go, as a person with a keyboard would: logs in, opens the call,
// goes to the reason by Tab, writes it, and presses Enter.
//
//   node hold.mjs URL USER PASSWORD OUTDIR CALLID on|off REASON
//
// It saves hold-on.png (or off), the same dark and on a phone, and the page of recorders, in OUTDIR and prints one line of JSON. It
// fails (exit code 1, with "error" in the JSON) where the page does not say so afterwards, where something is wider than a
// phone, or where the browser's console shows an error.
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { chromium } from 'playwright-core'

const [url, user, password, out, call, what, reason] = process.argv.slice(2)
if (!reason) {
  console.error('usage: node hold.mjs URL USER PASSWORD OUTDIR CALLID on|off REASON')
  process.exit(2)
}

const flags = [
  '--no-sandbox', '--headless', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync',
]
const desktop = { width: 1280, height: 1000 }
const phone = { width: 390, height: 844 }

const profile = await mkdtemp(join(tmpdir(), 'linekeeper-browser-'))
await mkdir(out, { recursive: true })
const browser = await chromium.launchPersistentContext(profile, {
  executablePath: '/usr/bin/chromium', args: flags, ignoreHTTPSErrors: true, viewport: desktop,
})
const complaints = []
const result = { call, what }
try {
  await hold(await browser.newPage())
} catch (error) {
  result.error = error.message
} finally {
  await browser.close()
  await rm(profile, { recursive: true, force: true })
}
if (!result.error && complaints.length > 0) result.error = `the browser complains: ${complaints.join('; ')}`
console.log(JSON.stringify(result))
process.exit(result.error ? 1 : 0)

async function hold(page) {
  page.setDefaultTimeout(20_000)
  page.on('console', (message) => { if (message.type() === 'error') complaints.push(message.text()) })
  page.on('pageerror', (error) => complaints.push(error.message))

  await page.goto(url)
  await page.fill('#user', user)
  await page.fill('#password', password)
  await Promise.all([page.waitForURL((to) => !to.pathname.startsWith('/login')), page.click('form.login button')])
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
