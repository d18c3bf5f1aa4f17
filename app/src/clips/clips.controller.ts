import { Body, Controller, Get, HttpCode, Inject, Param, Post, Req, Res } from '@nestjs/common';
import {
  ApiAcceptedResponse,
  ApiBadRequestResponse,
  ApiConflictResponse,
  ApiNotFoundResponse,
  ApiOkResponse,
  ApiOperation,
  ApiParam,
  ApiTags,
} from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { ApiErrors, ErrorView } from '../http/error-view.js';
import { Clips } from './clips.js';
import { ApiIdempotencyKey, IdempotencyKey } from './idempotency-key.js';
import { AcceptedClip, ClipId, ClipView, NewClip } from './schemas.js';

@ApiTags('soundbite')
@ApiErrors()
@Controller('soundbite')
export class ClipsController {
  constructor(@Inject(Clips) private readonly clips: Clips) {}

  @Post()
  @HttpCode(202)
  @ApiOperation({ summary: 'Have a text spoken' })
  @ApiIdempotencyKey()
  @ApiAcceptedResponse({
    description: 'Stored and queued.',
    standardSchema: AcceptedClip,
    headers: { Location: { description: 'Where to ask for the clip.', schema: { type: 'string' } } },
  })
  @ApiBadRequestResponse({ description: 'The body or the Idempotency-Key is not right.', standardSchema: ErrorView })
  @ApiConflictResponse({ description: 'The key was used for another body.', standardSchema: ErrorView })
  async submit(
    @Body({ schema: NewClip }) request: NewClip,
    @IdempotencyKey() idempotencyKey: string,
    @Req() { id: requestId }: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<AcceptedClip> {
    const clip = await this.clips.submit(request, idempotencyKey, requestId);
    reply.header('Location', `/soundbite/${clip.id}`);
    return clip;
  }

  @Get(':id')
  @ApiOperation({ summary: 'How a clip is doing, and where its audio is' })
  @ApiParam({ name: 'id', schema: { type: 'string', format: 'uuid' } })
  @ApiOkResponse({ standardSchema: ClipView })
  @ApiBadRequestResponse({ description: 'The id is not a UUID.', standardSchema: ErrorView })
  @ApiNotFoundResponse({ description: 'There is no such clip, or no longer.', standardSchema: ErrorView })
  find(@Param('id', { schema: ClipId }) id: string): Promise<ClipView> {
    return this.clips.find(id);
  }
}
