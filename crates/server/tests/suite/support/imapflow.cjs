// imapflow against a server, as a web mailer uses it: everything is read once, then only what has
// changed, and what happens meanwhile is told in IDLE.
//
// Arguments: where imapflow lies, port, folder for the bytes read, file to append.
'use strict';

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');

const [, , library, port, out, extra] = process.argv;
const { ImapFlow } = require(library);

async function connect() {
    const client = new ImapFlow({
        host: '127.0.0.1',
        port: Number(port),
        secure: false,
        auth: { user: 'alice', pass: 'pass' },
        qresync: true,
        logger: false,
    });
    await client.connect();
    return client;
}

/** Resolves with the event for which `enough` holds. */
function told(client, event, enough) {
    return new Promise(resolve => {
        client.on(event, data => {
            if (enough(data)) {
                resolve(data);
            }
        });
    });
}

async function main() {
    let client = await connect();
    for (const name of ['CONDSTORE', 'QRESYNC']) {
        assert.ok(client.enabled.has(name), name);
    }
    const folders = (await client.list()).map(folder => folder.path);
    assert.ok(folders.includes('INBOX') && folders.includes('Trash'), String(folders));

    // The first time: everything.
    const first = await client.mailboxOpen('INBOX');
    const count = first.exists;
    assert.ok(first.highestModseq > 0n && first.uidValidity > 0n);
    const query = { uid: true, flags: true, envelope: true, bodyStructure: true, source: true, size: true,
        internalDate: true, threadId: true };
    const known = new Map();
    for await (const message of client.fetch('1:*', query)) {
        assert.equal(message.source.length, message.size);
        assert.ok(message.envelope.date && message.bodyStructure.type && message.emailId, String(message.uid));
        fs.writeFileSync(path.join(out, String(known.size)), message.source);
        known.set(message.uid, message);
    }
    assert.equal(known.size, count);
    const uids = [...known.keys()];

    // One part, decoded, is what is in the source.
    const { meta, content } = await client.download(uids[0], '1', { uid: true });
    assert.ok(meta.contentType);
    let length = 0;
    for await (const chunk of content) {
        length += chunk.length;
    }
    assert.ok(length > 0);

    // What a user does.
    assert.ok(await client.messageFlagsAdd(uids.slice(0, 3), ['\\Seen', '$Forwarded'], { uid: true }));
    assert.deepEqual(await client.search({ seen: true }, { uid: true }), uids.slice(0, 3));
    assert.deepEqual(await client.search({ header: { 'x-nobody': 'x' } }, { uid: true }), []);
    await client.mailboxCreate('Projects');
    const moved = await client.messageMove(uids.slice(3, 5), 'Projects', { uid: true });
    assert.equal(moved.uidMap.size, 2);
    const copied = await client.messageCopy(uids.slice(5, 6), 'Projects', { uid: true });
    assert.equal(copied.uidMap.size, 1);
    const appended = await client.append('Projects', fs.readFileSync(extra), ['\\Draft'], new Date(1e12));
    assert.ok(appended.uid > 0);
    const status = await client.status('Projects', { messages: true, unseen: true, uidNext: true, highestModseq: true });
    assert.equal(status.messages, 4);
    await client.mailboxRename('Projects', 'Done');
    await client.mailboxOpen('INBOX');
    const { uidValidity, highestModseq } = client.mailbox;
    await client.logout();

    // Something else changes the mailbox meanwhile.
    const other = await connect();
    await other.mailboxOpen('INBOX');
    await other.messageDelete(uids.slice(6, 8), { uid: true });
    await other.messageFlagsAdd(uids.slice(8, 9), ['\\Flagged'], { uid: true });

    // The second time: what has changed.
    client = await connect();
    const vanished = [];
    const flagged = [];
    client.on('expunge', event => vanished.push(event.uid));
    client.on('flags', event => flagged.push(event.uid));
    await client.mailboxOpen('INBOX', { uidValidity, changedSince: highestModseq });
    assert.deepEqual(vanished.sort((a, b) => a - b), uids.slice(6, 8));
    assert.deepEqual(flagged, uids.slice(8, 9));
    assert.equal(client.mailbox.exists, count - 4);
    const changed = [];
    for await (const message of client.fetch('1:*', { uid: true, flags: true }, { changedSince: highestModseq })) {
        changed.push(message.uid);
    }
    assert.deepEqual(changed, uids.slice(8, 9));

    // IDLE: new mail, flags and expunges come by themselves.
    const exists = told(client, 'exists', event => event.count === count - 3);
    const flags = told(client, 'flags', event => event.uid === uids[9] && event.flags.has('\\Answered'));
    const expunge = told(client, 'expunge', event => event.uid === uids[10]);
    const idling = client.idle();
    await other.append('INBOX', fs.readFileSync(extra));
    await exists;
    await other.messageFlagsAdd([uids[9]], ['\\Answered'], { uid: true });
    await flags;
    await other.messageDelete([uids[10]], { uid: true });
    await expunge;
    // A command ends it.
    await client.noop();
    await idling;
    assert.equal(client.mailbox.exists, count - 4);
    await client.logout();
    await other.logout();
}

main().catch(error => {
    console.error(error);
    process.exit(1);
});
