// What every page has: htmx, the notice that headquarters does not answer, and the player below the list of calls.
import htmx from 'htmx.org'

// hx-ptag.js is written for a global htmx, which is why it is imported only once there is one.
window.htmx = htmx
await import('htmx.org/dist/ext/hx-ptag.js')

const offline = document.querySelector('#offline')

document.addEventListener('htmx:config:request', (event) => {
  // A page that nobody looks at need not refresh itself.
  if (document.hidden && event.detail.ctx.sourceElement.id === 'live') event.preventDefault()
})
document.addEventListener('htmx:before:response', (event) => {
  offline.hidden = event.detail.ctx.response.status < 500
})
document.addEventListener('htmx:error', () => { offline.hidden = false })

const listen = document.querySelector('#listen')
if (listen) playFromList(listen)

// playFromList plays calls without leaving the list. The player stands outside of what htmx exchanges.
function playFromList(listen) {
  const audio = listen.querySelector('audio')
  const link = listen.querySelector('a')

  const show = () => {
    for (const button of document.querySelectorAll('[data-play]')) {
      const current = !listen.hidden && audio.getAttribute('src') === button.dataset.play
      button.closest('tr').classList.toggle('playing', current)
    }
  }
  document.addEventListener('click', (event) => {
    const button = event.target.closest('[data-play]')
    if (!button) return
    if (audio.getAttribute('src') === button.dataset.play && !audio.paused) {
      audio.pause()
      return
    }
    if (audio.getAttribute('src') !== button.dataset.play) audio.src = button.dataset.play
    link.href = button.dataset.page
    link.textContent = button.dataset.title
    listen.hidden = false
    audio.play().catch(() => {}) // the player itself shows that it cannot
    show()
  })
  listen.querySelector('button').addEventListener('click', () => {
    audio.pause()
    audio.removeAttribute('src')
    listen.hidden = true
    show()
  })
  document.addEventListener('htmx:after:swap', show)
}
