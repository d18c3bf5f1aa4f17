import { createServer, type Socket } from 'node:net';
import { DynamoDBClient, ListTablesCommand } from '@aws-sdk/client-dynamodb';
import { expect, it } from 'vitest';
import { isAwsFailure } from '../src/aws-failure.js';
import { clientOptions } from '../src/aws.js';
import { freePort } from './support/ports.js';

it('a client does not wait for ever for an AWS that hangs', async () => {
  const sockets = new Set<Socket>();
  const silent = createServer((socket) => sockets.add(socket));
  const port = await freePort();
  await new Promise<void>((resolve) => silent.listen(port, '127.0.0.1', resolve));
  const settings = {
    AWS_REGION: 'us-east-1',
    AWS_ENDPOINT_URL: `http://127.0.0.1:${port}`,
    AWS_ACCESS_KEY_ID: 'test',
    AWS_SECRET_ACCESS_KEY: 'test',
  };
  const client = new DynamoDBClient(clientOptions(settings, 50));
  const error: unknown = await client.send(new ListTablesCommand()).catch((thrown: unknown) => thrown);
  for (const socket of sockets) socket.destroy();
  silent.close();

  expect(error).toMatchObject({ name: 'TimeoutError' });
  expect(isAwsFailure(error)).toBe(true);
  expect(sockets.size).toBe(3);
});
