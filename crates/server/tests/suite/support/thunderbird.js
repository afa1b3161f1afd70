// What the tests make Thunderbird do. Marionette runs this file once for each action, in the main
// process, with the action's name and its parameters.
const [name, parameters, done] = arguments;
const { MailServices } = ChromeUtils.importESModule("resource:///modules/MailServices.sys.mjs");
const { setTimeout } = ChromeUtils.importESModule("resource://gre/modules/Timer.sys.mjs");
const NS_MSG_FOLDER_BUSY = 0x8055000a;

// Beside it there are the local folders.
const account = () => MailServices.accounts.allServers.find(server => server.type != "none");

// `null` when there is none; over IMAP there is no INBOX before the server has told of it.
function folder(path) {
  const root = account().rootFolder;
  if (path == "INBOX") {
    return root.getFolderWithFlags(Ci.nsMsgFolderFlags.Inbox);
  }
  return path.split("/").reduce((above, part) => above?.getChildNamed(part), root);
}

// Not everything that is done says so. Marionette ends what takes too long.
const pause = () => new Promise(resolve => setTimeout(resolve, 20));
async function until(right) {
  while (!right()) {
    await pause();
  }
}

const messages = (path, uids) =>
  [...(folder(path)?.messages ?? [])].filter(message => !uids || uids.includes(message.messageKey));

// Ends when `start`, given a listener, says so to it.
function finished(names, start) {
  return new Promise((resolve, reject) => {
    const ended = status =>
      Components.isSuccessCode(status)
        ? resolve()
        : reject(new Error(`${name} failed: 0x${status.toString(16)}`));
    start({
      QueryInterface: ChromeUtils.generateQI(names),
      OnStartRunningUrl() {},
      OnStopRunningUrl: (_url, status) => ended(status),
      onStartCopy() {},
      onProgress() {},
      setMessageKey() {},
      onStopCopy: ended,
    });
  });
}
async function url(start) {
  try {
    await finished(["nsIUrlListener"], start);
  } catch (error) {
    // It also does things of its own accord.
    if (error.result != NS_MSG_FOLDER_BUSY) {
      throw error;
    }
    await pause();
    await url(start);
  }
}
const copied = start => finished(["nsIMsgCopyServiceListener"], start);

// The message as it lies on the disk, or as the server has it.
function source(path, message, onDisk) {
  const uri = folder(path).getUriForMsg(message);
  return new Promise((resolve, reject) => {
    const parts = [];
    const listener = {
      QueryInterface: ChromeUtils.generateQI(["nsIStreamListener"]),
      onStartRequest() {},
      onDataAvailable(_request, input, _offset, count) {
        const stream = Cc["@mozilla.org/binaryinputstream;1"].createInstance(Ci.nsIBinaryInputStream);
        stream.setInputStream(input);
        parts.push(...stream.readByteArray(count));
      },
      onStopRequest: (_request, status) =>
        Components.isSuccessCode(status)
          ? resolve(new Uint8Array(parts))
          : reject(new Error(`${uri} is not here: 0x${status.toString(16)}`)),
    };
    MailServices.messageServiceFromURI(uri).streamMessage(uri, listener, null, null, false, "", onDisk);
  });
}

const actions = {
  async account(type, port, user, password) {
    const origin = `${type == "imap" ? "imap" : "mailbox"}://127.0.0.1`;
    const login = Cc["@mozilla.org/login-manager/loginInfo;1"].createInstance(Ci.nsILoginInfo);
    login.init(origin, null, origin, user, password, "", "");
    await Services.logins.addLoginAsync(login);
    const server = MailServices.accounts.createIncomingServer(user, "127.0.0.1", type);
    server.port = port;
    server.socketType = Ci.nsMsgSocketType.plain;
    server.authMethod = Ci.nsMsgAuthMethod.passwordCleartext;
    server.valid = true;
    const identity = MailServices.accounts.createIdentity();
    identity.email = `${user}@example.org`;
    identity.valid = true;
    const created = MailServices.accounts.createAccount();
    created.addIdentity(identity);
    created.incomingServer = server;
  },
  set(preference, value) {
    account().setBoolValue(preference, value);
  },
  // What the button "Get Messages" does.
  receive: () =>
    url(listener =>
      account().getNewMessages(folder("INBOX") || account().rootFolder, null, listener)
    ),
  // What a click on the folder does.
  open: path =>
    url(listener =>
      folder(path)
        .QueryInterface(Ci.nsIMsgImapMailFolder)
        .updateFolderWithListener(null, listener)
    ),
  // It is away for a while.
  disconnect: () => account().closeCachedConnections(),
  create(above, part) {
    folder(above).createSubfolder(part, null);
    return until(() => folder(`${above}/${part}`));
  },
  rename(path, part) {
    folder(path).rename(part, null);
    return until(() => folder(path.replace(/[^/]*$/, part)));
  },
  list: path =>
    messages(path).map(message => ({
      uid: message.messageKey,
      seen: message.isRead,
      flagged: message.isFlagged,
      answered: Boolean(message.flags & Ci.nsMsgMessageFlags.Replied),
      keywords: message.getStringProperty("keywords"),
    })),
  async download(path) {
    const { Offline } = Ci.nsMsgMessageFlags;
    // It says that it is done also when another download is under way.
    while (messages(path).some(message => !(message.flags & Offline))) {
      await url(listener => folder(path).downloadAllForOffline(listener, null));
      await pause();
    }
  },
  async save(path, directory) {
    const all = messages(path);
    for (const message of all) {
      await IOUtils.write(`${directory}/${message.messageKey}`, await source(path, message, true));
    }
    return all.length;
  },
  // What a click on the message does.
  async show(path, uid, file) {
    await IOUtils.write(file, await source(path, messages(path, [uid])[0], false));
  },
  // Asks the server.
  search(path, attribute, text) {
    const session = Cc["@mozilla.org/messenger/searchSession;1"].createInstance(Ci.nsIMsgSearchSession);
    const term = session.createTerm();
    const value = term.value;
    term.attrib = value.attrib = Ci.nsMsgSearchAttrib[attribute];
    term.op = Ci.nsMsgSearchOp.Contains;
    value.str = text;
    term.value = value;
    session.appendTerm(term);
    session.addScopeTerm(Ci.nsMsgSearchScope.onlineMail, folder(path));
    return new Promise(resolve => {
      const found = [];
      session.registerListener({
        QueryInterface: ChromeUtils.generateQI(["nsIMsgSearchNotify"]),
        onNewSearch() {},
        onSearchHit: message => found.push(message.messageKey),
        onSearchDone: () => resolve(found),
      });
      session.search(null);
    });
  },
  seen: (path, uids, value) => folder(path).markMessagesRead(messages(path, uids), value),
  flagged: (path, uids, value) => folder(path).markMessagesFlagged(messages(path, uids), value),
  answered: (path, uids) =>
    messages(path, uids).forEach(message =>
      folder(path).addMessageDispositionState(message, Ci.nsIMsgFolder.nsMsgDispositionState_Replied)
    ),
  tag: (path, uids, keyword) => folder(path).addKeywordsToMessages(messages(path, uids), keyword),
  copy: (path, uids, to, move) =>
    copied(listener =>
      MailServices.copy.copyMessages(
        folder(path), messages(path, uids), folder(to), move, listener, null, false
      )
    ),
  async append(path, file) {
    const from = await IOUtils.getFile(file);
    await copied(listener =>
      MailServices.copy.copyFileMessage(
        from, folder(path), null, false, Ci.nsMsgMessageFlags.Read, "", listener, null
      )
    );
  },
  // Into the trash, or for good.
  remove: (path, uids, forGood) =>
    folder(path).deleteMessages(messages(path, uids), null, forGood, false, null, false),
  empty: () => url(listener => account().rootFolder.emptyTrash(listener)),
};

(async () => actions[name](...parameters))().then(
  value => done({ value: value ?? null }),
  error => done({ error: `${error}\n${error.stack}` })
);
