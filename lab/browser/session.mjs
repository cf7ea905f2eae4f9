// What every look at headquarters' pages begins and ends with.
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { chromium } from 'playwright-core'

const flags = [
  '--no-sandbox', '--headless', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync',
]

export const phone = { width: 390, height: 844 }

// session makes the folder for pictures, logs in with a browser of its own, does what is to be done with the page, prints
// result as one line of JSON, and ends the program: with 1, and "error" in the JSON, where that failed or the browser's
// console shows an error.
export async function session({ url, user, password, out, desktop, result }, look) {
  const profile = await mkdtemp(join(tmpdir(), 'linekeeper-browser-'))
  await mkdir(out, { recursive: true })
  const browser = await chromium.launchPersistentContext(profile, {
    executablePath: '/usr/bin/chromium', args: flags, ignoreHTTPSErrors: true, viewport: desktop,
  })
  const complaints = []
  try {
    const page = await browser.newPage()
    page.setDefaultTimeout(20_000)
    page.on('console', (message) => { if (message.type() === 'error') complaints.push(message.text()) })
    page.on('pageerror', (error) => complaints.push(error.message))
    await page.goto(url)
    await page.fill('#user', user)
    await page.fill('#password', password)
    await Promise.all([page.waitForURL((to) => !to.pathname.startsWith('/login')), page.click('form.login button')])
    await look(page)
  } catch (error) {
    result.error = error.message
  } finally {
    await browser.close()
    await rm(profile, { recursive: true, force: true })
  }
  if (!result.error && complaints.length > 0) result.error = `the browser complains: ${complaints.join('; ')}`
  console.log(JSON.stringify(result))
  process.exit(result.error ? 1 : 0)
}
