// The page of a call: a waveform to play from, the two sides apart, and keys.
import WaveSurfer from 'wavesurfer.js'

const player = document.querySelector('#player')
if (player) start(player)

async function start(player) {
  const audio = player.querySelector('audio')
  const seconds = Number(player.dataset.seconds)
  const sides = Number(player.dataset.sides)
  const waveform = player.querySelector('#waveform')

  audio.controls = false
  for (const part of player.querySelectorAll('.controls, .keys')) part.hidden = false

  const seek = (to) => { audio.currentTime = Math.min(Math.max(to, 0), seconds) }
  const skip = (by) => seek(audio.currentTime + by)
  const toggle = () => (audio.paused ? audio.play().catch(problem) : audio.pause())
  const hear = sides > 1 ? hearSides(player, audio) : () => {}

  controls(player, audio, { seek, skip, toggle })
  keys({ seek, skip, toggle, hear, seconds })
  follow(player, audio, waveform)

  function problem() {
    const notice = player.querySelector('#player-problem')
    notice.textContent = 'The audio cannot be played here. Save a copy, or reload the page to try again.'
    notice.hidden = false
  }
  audio.addEventListener('error', problem)

  const response = await fetch(player.dataset.peaks)
  if (!response.ok) {
    audio.controls = true // the waveform is a convenience
    return
  }
  draw(waveform, audio, seconds, (await response.json()).map(points))
}

// points turns base64 of bytes into heights from 0 to 1: square roots, so that quiet speech is seen. Short calls have
// fewer points than there are bars to draw: theirs are repeated, for wavesurfer leaves bars without a point out.
function points(encoded) {
  const heights = Array.from(atob(encoded), (c) => Math.sqrt(c.charCodeAt(0) / 255))
  const times = Math.ceil(1000 / heights.length)
  return Float32Array.from({ length: heights.length * times }, (_, i) => heights[Math.floor(i / times)])
}

function draw(container, media, duration, peaks) {
  const colours = () => {
    const style = getComputedStyle(container)
    return peaks.map((_, i) => ({
      waveColor: style.getPropertyValue(`--side-${i}-soft`).trim(),
      progressColor: style.getPropertyValue(`--side-${i}`).trim(),
    }))
  }
  const height = peaks.length > 1 ? 64 : 112
  const loudest = Math.max(0.25, ...peaks.map((channel) => channel.reduce((a, b) => Math.max(a, b), 0)))
  const options = () => (peaks.length > 1
    ? { splitChannels: colours().map((colour) => ({ ...colour, height })) }
    : { ...colours()[0], height })
  const wave = WaveSurfer.create({
    container, media, duration, peaks, maxPeak: loudest, normalize: true,
    barWidth: 2, barGap: 1, barRadius: 1, cursorWidth: 2, dragToSeek: true, hideScrollbar: true,
    cursorColor: getComputedStyle(container).color,
    cspNonce: document.querySelector('#call-script').nonce,
    ...options(),
  })
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
    wave.setOptions({ cursorColor: getComputedStyle(container).color, ...options() })
  })
}

function controls(player, audio, { seek, skip, toggle }) {
  player.querySelector('#play').addEventListener('click', toggle)
  player.querySelector('#speed').addEventListener('change', (event) => { audio.playbackRate = Number(event.target.value) })
  document.addEventListener('click', (event) => {
    const by = event.target.closest('[data-skip]')
    if (by) skip(Number(by.dataset.skip))
    const to = event.target.closest('[data-seek]')
    if (to) seek(Number(to.dataset.seek))
  })
}

// follow shows where the audio is and whether it plays.
function follow(player, audio, waveform) {
  const now = player.querySelector('#now')
  const button = player.querySelector('#play')
  const place = () => {
    now.textContent = clock(audio.currentTime)
    waveform.setAttribute('aria-valuenow', audio.currentTime.toFixed(1))
    waveform.setAttribute('aria-valuetext', clock(audio.currentTime))
  }
  const state = () => {
    player.classList.toggle('plays', !audio.paused)
    button.setAttribute('aria-label', audio.paused ? 'Play' : 'Pause')
  }
  for (const name of ['timeupdate', 'seeking']) audio.addEventListener(name, place)
  for (const name of ['play', 'pause', 'ended']) audio.addEventListener(name, state)
}

function clock(seconds) {
  const whole = Math.floor(seconds)
  const two = (n) => String(n).padStart(2, '0')
  return whole < 3600
    ? `${Math.floor(whole / 60)}:${two(whole % 60)}`
    : `${Math.floor(whole / 3600)}:${two(Math.floor(whole / 60) % 60)}:${two(whole % 60)}`
}

// hearSides gives each side a volume of its own, and puts both a little off the middle, where they are easy to tell
// apart and still comfortable in one ear. It is set up at the first play: browsers want a gesture before.
function hearSides(player, audio) {
  const buttons = [...player.querySelectorAll('[data-side]')]
  let gains
  const set = () => gains?.forEach((gain, i) => { gain.gain.value = buttons[i].getAttribute('aria-pressed') === 'true' ? 1 : 0 })
  const hear = (side) => {
    const button = buttons[side]
    if (!button) return
    button.setAttribute('aria-pressed', button.getAttribute('aria-pressed') !== 'true')
    set()
  }
  for (const button of buttons) button.addEventListener('click', () => hear(Number(button.dataset.side)))

  let context
  audio.addEventListener('play', () => {
    context ??= new AudioContext()
    context.resume()
    if (gains) return
    const split = context.createChannelSplitter(2)
    context.createMediaElementSource(audio).connect(split)
    gains = buttons.map((_, i) => {
      const gain = context.createGain()
      split.connect(gain, i)
      gain.connect(new StereoPannerNode(context, { pan: i ? 0.4 : -0.4 })).connect(context.destination)
      return gain
    })
    set()
  })
  return hear
}

function keys({ seek, skip, toggle, hear, seconds }) {
  const act = {
    ' ': toggle, k: toggle, j: () => skip(-10), l: () => skip(10),
    ArrowLeft: () => skip(-5), ArrowRight: () => skip(5), Home: () => seek(0), End: () => seek(seconds),
    1: () => hear(0), 2: () => hear(1),
  }
  document.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.target.closest('input, select, textarea, summary')) return
    if (event.key === ' ' && event.target.closest('button, a')) return // they have it for themselves
    const does = act[event.key.length === 1 ? event.key.toLowerCase() : event.key]
    if (!does) return
    event.preventDefault()
    does()
  })
}
