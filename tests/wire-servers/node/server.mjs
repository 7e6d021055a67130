// Node's http2 as an APNs that answers as each request wishes; see ../README.md.
import { readFileSync, writeSync } from 'node:fs';
import { createSecureServer } from 'node:http2';
import { parseArgs } from 'node:util';

const GONE = '{"reason":"Unregistered","timestamp":1700000000123}';
const SLOW_MS = 20;
const PING_EVERY = 50;
const REQUIRED = ['apns-topic', 'apns-push-type', 'apns-priority', 'apns-expiration', 'apns-id'];
// Taken in turn by --settings-every: nothing that APNs or a proxy before it might not do.
const CHANGES = [
  { maxConcurrentStreams: 3, initialWindowSize: 500, headerTableSize: 0, maxFrameSize: 20_000 },
  { maxConcurrentStreams: 1, initialWindowSize: 65_535, headerTableSize: 200, maxFrameSize: 16_384 },
  { maxConcurrentStreams: 200, initialWindowSize: 0x7fff_ffff, headerTableSize: 65_536, maxFrameSize: 16_777_215 },
  { maxConcurrentStreams: 0, initialWindowSize: 0, headerTableSize: 4_096, maxFrameSize: 16_384 },
  { maxConcurrentStreams: 50, initialWindowSize: 1_000, headerTableSize: 4_096, maxFrameSize: 16_384 },
];

const text = { type: 'string' };
const { values: options } = parseArgs({
  options: {
    port: text, cert: text, key: text, ca: text, streams: text, frame: text, 'stream-window': text,
    'connection-window': text, 'header-table': text, 'shutdown-every': text, 'settings-every': text,
  },
});
const number = (name, otherwise) => Number(options[name] ?? otherwise);
const tell = (line) => writeSync(1, `${line}\n`);

const settings = {
  maxConcurrentStreams: number('streams', 200),
  initialWindowSize: number('stream-window', 65_535),
  headerTableSize: number('header-table', 4_096),
  maxFrameSize: number('frame', 16_384),
};
const server = createSecureServer({
  cert: readFileSync(options.cert),
  key: readFileSync(options.key),
  ca: options.ca && readFileSync(options.ca),
  requestCert: Boolean(options.ca),
  rejectUnauthorized: Boolean(options.ca),
  settings,
});

const sessions = new Set();
let reads = 0;
server.on('session', (session) => {
  sessions.add(session);
  session.on('close', () => sessions.delete(session));
  session.on('error', (error) => tell(`session error: ${error.code} ${error.message}`));
  if (options['connection-window']) session.setLocalWindowSize(number('connection-window'));
});

function everyNow(session) {
  reads += 1;
  if (reads % PING_EVERY === 0 && !session.destroyed) session.ping((error) => error ?? tell('pong'));
  const change = number('settings-every', 0);
  if (change && reads % change === 0 && !session.destroyed) {
    const next = CHANGES[(reads / change - 1) % CHANGES.length];
    session.settings(next, (error) => error ?? tell('settings taken'));
    // Limits of zero would end the load: the acknowledgement of them opens the way again.
    if (next.maxConcurrentStreams === 0) session.once('localSettings', () => session.settings(settings));
  }
  const shutdown = number('shutdown-every', 0);
  if (shutdown && reads % shutdown === 0) {
    for (const each of [...sessions].filter((session) => !session.destroyed && !session.closed)) {
      each.goaway(0, 0, Buffer.from('{"reason":"Shutdown"}'));
      each.close();
    }
  }
}

function isOfAProvider(stream, headers) {
  const bearer = (headers.authorization ?? '').startsWith('bearer ey');
  const shown = Boolean(stream.session.socket.getPeerCertificate().subject);
  return headers[':method'] === 'POST' && headers[':path'].startsWith('/3/device/')
    && REQUIRED.every((name) => typeof headers[name] === 'string')
    && bearer !== shown && shown === Boolean(options.ca);
}

function answer(stream, id, status, body, more = {}) {
  if (stream.destroyed) return;
  const head = { ':status': status, 'apns-id': id, 'apns-unique-id': id, ...more };
  if (body.startsWith('{')) head['content-type'] = 'application/json';
  stream.respond(head, { endStream: body === '' });
  if (body !== '') stream.end(body);
}

const WISHES = {
  '': (stream, id) => answer(stream, id, 200, ''),
  gone: (stream, id) => answer(stream, id, 410, GONE),
  bad: (stream, id) => answer(stream, id, 400, '{"reason":"BadDeviceToken"}'),
  busy: (stream, id) => answer(stream, id, 429, '{"reason":"TooManyRequests"}'),
  html: (stream, id) => answer(stream, id, 404, '<html><body>not here</body></html>'),
  slow: (stream, id) => setTimeout(() => answer(stream, id, 200, ''), SLOW_MS),
  hints: (stream, id) => {
    stream.additionalHeaders({ ':status': 103, link: '</style.css>; rel=preload' });
    answer(stream, id, 200, '');
  },
  trailers: (stream, id) => {
    stream.respond({ ':status': 410, 'apns-id': id, 'content-type': 'application/json' }, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'x-after': 'the body' }));
    stream.end(GONE);
  },
  split: (stream, id) => {
    stream.respond({ ':status': 410, 'apns-id': id, 'content-type': 'application/json' });
    const next = (n) => (n < GONE.length ? stream.write(GONE[n], () => next(n + 1)) : stream.end());
    next(0);
  },
  headers: (stream, id) => {
    const fields = Array.from({ length: 40 }, (_, n) => [`x-field-${n}`, id.slice(n % 8).repeat(5)]);
    answer(stream, id, 200, '', Object.fromEntries(fields));
  },
  large: (stream, id) => answer(stream, id, 400, ' '.repeat(20_000)),
  huge: (stream, id) => answer(stream, id, 400, ' '.repeat(100_000)),
};

server.on('stream', (stream, headers) => {
  let [bytes, sum] = [0, 0];
  stream.on('error', (error) => tell(`stream error: ${error.code}`));
  stream.on('data', (chunk) => {
    bytes += chunk.length;
    for (const byte of chunk) sum += byte;
  });
  stream.on('end', () => {
    const id = headers['apns-id'];
    tell(`read ${id} ${headers[':path'].slice('/3/device/'.length)} ${bytes} ${sum}`);
    const wish = WISHES[headers['apns-collapse-id'] ?? ''];
    if (!isOfAProvider(stream, headers)) answer(stream, id, 403, '{"reason":"Forbidden"}');
    else if (wish) wish(stream, id);
    else answer(stream, id, 500, '{"reason":"InternalServerError"}');
    everyNow(stream.session ?? { destroyed: true });
  });
});

server.listen(number('port'), '127.0.0.1', () => tell('listening'));
