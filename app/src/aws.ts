/** How every AWS client is set: bounded in time and tries, and honest about a call that hangs. */
import type { AwsSettings } from './settings.js';

export function clientOptions(settings: AwsSettings, requestTimeout = 3000) {
  const { AWS_REGION, AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN } = settings;
  return {
    region: AWS_REGION,
    maxAttempts: 3,
    requestHandler: {
      connectionTimeout: 1000,
      requestTimeout,
      // Without this the SDK only logs a warning when the time is up.
      throwOnRequestTimeout: true,
    },
    ...(AWS_ENDPOINT_URL && { endpoint: AWS_ENDPOINT_URL }),
    ...(AWS_ACCESS_KEY_ID &&
      AWS_SECRET_ACCESS_KEY && {
        credentials: {
          accessKeyId: AWS_ACCESS_KEY_ID,
          secretAccessKey: AWS_SECRET_ACCESS_KEY,
          ...(AWS_SESSION_TOKEN && { sessionToken: AWS_SESSION_TOKEN }),
        },
      }),
  };
}
