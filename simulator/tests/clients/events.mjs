// Drives salesforce-pubsub-api-client against a running simulator. Arguments: the folder of its
// node_modules, Pub/Sub host:port, HTTPS and HTTP base URLs, access token.
import { pathToFileURL } from 'node:url';

const [modules, endpoint, https, http, accessToken] = process.argv.slice(2);
process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0';
const { default: PubSubApiClient } = await import(pathToFileURL(`${modules}/node_modules/salesforce-pubsub-api-client/dist/client.js`));

const quiet = { debug: process.env.TRACE ? console.error : () => {}, info: process.env.TRACE ? console.error : () => {}, warn: console.warn, error: console.error };
const client = new PubSubApiClient(
    { authType: 'user-supplied', accessToken, instanceUrl: https, pubSubEndpoint: endpoint, rejectUnauthorizedSsl: false },
    quiet
);
await client.connect();

const within = (promise, what) =>
    Promise.race([promise, new Promise((_, no) => setTimeout(() => no(new Error(`no ${what} in time`)), 15000).unref())]);
const listen = () => {
    const seen = [];
    const waiting = [];
    const callback = (info, type, data) => {
        const item = { info, type, data };
        const at = waiting.findIndex((one) => one.type === type);
        if (at >= 0) waiting.splice(at, 1)[0].done(item);
        else seen.push(item);
    };
    const next = (type) => {
        const at = seen.findIndex((one) => one.type === type);
        if (at >= 0) return Promise.resolve(seen.splice(at, 1)[0]);
        return within(new Promise((done) => waiting.push({ type, done })), type);
    };
    return { callback, next };
};
const rest = async (method, path, body) => {
    const answer = await fetch(`${http}/services/data/v66.0${path}`, {
        method,
        headers: { authorization: `Bearer ${accessToken}`, 'content-type': 'application/json' },
        body: body && JSON.stringify(body)
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
    return text ? JSON.parse(text) : null;
};
const same = (found, expected, what) => {
    if (JSON.stringify(found) !== JSON.stringify(expected)) throw new Error(`${what}: ${JSON.stringify(found)}, not ${JSON.stringify(expected)}`);
};

const topic = '/data/AccountChangeEvent';
const first = listen();
await client.subscribe(topic, first.callback, 3);
await first.next('grpcKeepAlive'); // only now is the position fixed
const { id } = await rest('POST', '/sobjects/Account', { Name: 'Acme', BillingCity: 'Oslo' });
const created = (await first.next('event')).data;
same(created.payload.ChangeEventHeader.changeType, 'CREATE', 'change type');
same(created.payload.ChangeEventHeader.recordIds, [id], 'record ids');
same(created.payload.BillingAddress.City, 'Oslo', 'city');
await rest('PATCH', `/sobjects/Account/${id}`, { Industry: 'Energy', BillingStreet: 'Main 1', Phone: null });
const changed = (await first.next('event')).data;
same(changed.payload.ChangeEventHeader.changedFields, ['Industry', 'LastModifiedDate', 'BillingAddress.Street'], 'changed fields');
same(changed.payload.Industry, 'Energy', 'industry');
await rest('PATCH', `/sobjects/Account/${id}`, { Industry: null });
const nulled = (await first.next('event')).data;
same(nulled.payload.ChangeEventHeader.nulledFields, ['Industry'], 'nulled fields');
await first.next('lastEvent');

const again = listen();
const other = '/data/ChangeEvents';
await client.subscribeFromReplayId(other, again.callback, 1, created.replayId);
same((await again.next('event')).data.replayId, changed.replayId, 'resumed after');

const kept = listen();
await client.subscribeFromEarliestEvent('/data/ContactChangeEvent', kept.callback);
await kept.next('grpcKeepAlive');

const managed = listen();
await client.subscribeWithManagedSubscription('Managed_OpportunityChangeEvent', managed.callback, 5);
await managed.next('grpcKeepAlive');
await rest('POST', '/sobjects/Opportunity', { Name: 'Deal', StageName: 'Prospecting', CloseDate: '2026-12-31' });
const deal = await managed.next('event');
same(deal.data.payload.StageName, 'Prospecting', 'stage');
client.commitReplayId(deal.info.subscriptionId, deal.data.replayId);

const published = await client.publish('/event/Concord_Note__e', { CreatedDate: Date.now(), CreatedById: '005000000000000', Message__c: { string: 'hello' } });
if (!published.replayId) throw new Error(`not published: ${JSON.stringify(published)}`);
client.close();
console.log('ok');
process.exit(0);
