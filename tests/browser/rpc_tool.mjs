// A tool that speaks gRPC-web (Connect's server and client) and GraphQL (Yoga, with its GraphiQL page), as single-page applications do; `node rpc_tool.mjs PORT`.
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { dirname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Code, ConnectError } from '@connectrpc/connect';
import { connectNodeAdapter } from '@connectrpc/connect-node';
import { renderGraphiQL } from '@graphql-yoga/render-graphiql';
import { createSchema, createYoga } from 'graphql-yoga';
import { Desk } from './rpc_schema.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const sleep = ms => new Promise(r => setTimeout(r, ms));
const served = ['@bufbuild/protobuf', '@connectrpc/connect', '@connectrpc/connect-web'];

// Modules straight from their packages: some hundred small files, as a page in development loads them.
function imports() {
  const map = {};
  for (const name of served)
    for (const [sub, to] of Object.entries(JSON.parse(readFileSync(join(here, 'node_modules', name, 'package.json'), 'utf8')).exports))
      if (to.import) map[name + sub.slice(1)] = `/m/${name}/${(typeof to.import === 'string' ? to.import : to.import.default).slice(2)}`;
  return JSON.stringify({ imports: map });
}

const rpc = connectNodeAdapter({
  routes(router) {
    router.service(Desk, {
      async say(ask, context) {
        if (ask.text === 'fail') throw new ConnectError('no such customer: ü', Code.NotFound, { 'x-detail': 'a' });
        context.responseHeader.set('x-head', 'h');
        context.responseTrailer.set('x-trail', 't');
        return { text: 'said ' + ask.text, count: ask.blob.length, blob: ask.blob };
      },
      async *count(ask) {
        for (let i = 1; i <= ask.count; i++) {
          yield { text: 'number', count: i };
          await sleep(ask.text === 'slowly' ? 300 : 0);
        }
        if (ask.text === 'then fail') throw new ConnectError('broke off', Code.Aborted);
      },
    });
  },
});

const customers = [{ id: '1', name: 'Amber Bakery' }, { id: '2', name: 'Grüner Markt' }];
const yoga = createYoga({
  renderGraphiQL, batching: true, logging: false, landingPage: false,
  schema: createSchema({
    typeDefs: `scalar File
      type Customer { id: ID! name: String! }
      type Query { customers(like: String): [Customer!]! big(size: Int!): String! }
      type Mutation { rename(id: ID!, name: String!): Customer! upload(file: File!): Int! }
      type Subscription { count(to: Int!): Int! }`,
    resolvers: {
      Query: { customers: (_, { like }) => customers.filter(c => !like || c.name.includes(like)), big: (_, { size }) => 'x'.repeat(size) },
      Mutation: {
        rename: (_, { id, name }) => Object.assign(customers.find(c => c.id === id), { name }),
        upload: async (_, { file }) => (await file.arrayBuffer()).byteLength,
      },
      Subscription: { count: { subscribe: async function* (_, { to }) { for (let i = 1; i <= to; i++) { yield { count: i }; await sleep(200); } } } },
    },
  }),
});

createServer((request, response) => {
  const path = new URL(request.url, 'http://x').pathname;
  const send = (type, body) => response.writeHead(200, { 'Content-Type': type }).end(body);
  if (path.startsWith('/graphql')) return yoga(request, response);
  if (path === '/') return send('text/html; charset=utf-8', `<!doctype html><title>rpc</title><script type="importmap">${imports()}</script><script type="module" src="/page.js"></script>`);
  if (path === '/page.js' || path === '/rpc_schema.mjs') return send('text/javascript', readFileSync(join(here, path === '/page.js' ? 'rpc_page.mjs' : 'rpc_schema.mjs')));
  const file = normalize(path.slice(3));
  if (path.startsWith('/m/') && served.some(name => file.startsWith(name + '/'))) return send('text/javascript', readFileSync(join(here, 'node_modules', file)));
  return rpc(request, response);
}).listen(Number(process.argv[2]), '127.0.0.1');
