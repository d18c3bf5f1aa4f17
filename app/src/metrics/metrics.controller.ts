import { createHash, timingSafeEqual } from 'node:crypto';
import { Controller, Get, Headers, Inject, Res, UnauthorizedException } from '@nestjs/common';
import { ApiBearerAuth, ApiOkResponse, ApiOperation, ApiProduces, ApiTags, ApiUnauthorizedResponse } from '@nestjs/swagger';
import type { FastifyReply } from 'fastify';
import { ErrorView } from '../http/error-view.js';
import { Unlimited } from '../http/rate-limit.js';
import { SETTINGS } from '../tokens.js';
import type { ApiSettings } from '../settings.js';
import { Metrics } from './metrics.js';

@ApiTags('operations')
@Controller('metrics')
export class MetricsController {
  constructor(
    @Inject(Metrics) private readonly metrics: Metrics,
    @Inject(SETTINGS) private readonly settings: Pick<ApiSettings, 'METRICS_TOKEN'>,
  ) {}

  @Get()
  @Unlimited()
  @ApiOperation({ summary: 'Metrics in the text format of Prometheus' })
  @ApiBearerAuth()
  @ApiProduces('text/plain')
  @ApiOkResponse({ schema: { type: 'string' } })
  @ApiUnauthorizedResponse({ description: 'METRICS_TOKEN is set and was not sent.', standardSchema: ErrorView })
  async read(
    @Headers('authorization') authorization: string | undefined,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<string> {
    const { METRICS_TOKEN: token } = this.settings;
    if (token && !equal(authorization ?? '', `Bearer ${token}`)) {
      reply.header('WWW-Authenticate', 'Bearer');
      throw new UnauthorizedException('Metrics need a bearer token');
    }
    reply.header('Content-Type', this.metrics.contentType);
    return this.metrics.text();
  }
}

/** Takes the same time wherever they differ; digests, because the comparison wants equal lengths. */
function equal(a: string, b: string): boolean {
  const digest = (value: string) => createHash('sha256').update(value).digest();
  return timingSafeEqual(digest(a), digest(b));
}
