import { Controller, Get, Inject, Res } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiServiceUnavailableResponse, ApiTags } from '@nestjs/swagger';
import type { FastifyReply } from 'fastify';
import { Unlimited } from '../http/rate-limit.js';
import type { ApiSettings } from '../settings.js';
import { SETTINGS } from '../tokens.js';
import { Readiness } from './readiness.js';
import { HealthView, ReadinessView } from './schemas.js';

@ApiTags('operations')
@Controller('health')
export class HealthController {
  constructor(
    @Inject(SETTINGS) private readonly settings: Pick<ApiSettings, 'ENVIRONMENT' | 'RELEASE' | 'REVISION'>,
    @Inject(Readiness) private readonly readiness: Readiness,
  ) {}

  @Get()
  @Unlimited()
  @ApiOperation({ summary: 'The process is up: asks nobody else' })
  @ApiOkResponse({ standardSchema: HealthView })
  health(): HealthView {
    const { ENVIRONMENT: environment, RELEASE: release, REVISION: revision } = this.settings;
    return { status: 'ok', environment, release, revision };
  }

  @Get('ready')
  @Unlimited()
  @ApiOperation({ summary: 'DynamoDB, SQS and S3 answer: all three are asked' })
  @ApiOkResponse({ standardSchema: ReadinessView })
  @ApiServiceUnavailableResponse({ description: 'At least one does not.', standardSchema: ReadinessView })
  async ready(@Res({ passthrough: true }) reply: FastifyReply): Promise<ReadinessView> {
    const view = await this.readiness.check();
    if (view.status !== 'ok') reply.code(503);
    return view;
  }
}
