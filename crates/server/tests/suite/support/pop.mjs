// node-pop3 against a server: lists, reads and deletes every message.
//
// Arguments: where node-pop3 lies, port, folder for the octets read.

import { writeFileSync } from 'node:fs'
import { pathToFileURL } from 'node:url'

const [library, port, out] = process.argv.slice(2)
const { default: Pop3Command } = await import(pathToFileURL(`${library}/src/Command.js`))
const pop3 = new Pop3Command({ user: 'alice', password: 'pass', host: '127.0.0.1', port: Number(port) })

const list = await pop3.LIST()
const ids = await pop3.UIDL()
if (list.length !== ids.length) throw new Error(`${list.length} listed, ${ids.length} ids`)
for (const [number, size] of list) {
  const [, stream] = await pop3.command('RETR', number)
  const parts = []
  for await (const part of stream) parts.push(part)
  // It leaves the stuffed dots in, and takes the last line end.
  const text = Buffer.concat(parts).toString('latin1').replace(/^\.\./gm, '.') + '\r\n'
  if (text.length !== Number(size)) throw new Error(`${number}: ${text.length} for ${size}`)
  writeFileSync(`${out}/${number}`, text, 'latin1')
  await pop3.DELE(number)
}
await pop3.QUIT()
