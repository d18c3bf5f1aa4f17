/** The description of the API at /api (for people) and /api-json (for machines), from the schemas that also validate. */
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { DocumentBuilder, SwaggerModule } from '@nestjs/swagger';

export function describe(app: NestFastifyApplication, release: string): void {
  const about = new DocumentBuilder()
    .setTitle('SoundBite')
    .setDescription('Text to speech.')
    .setVersion(release)
    .addBearerAuth()
    .build();
  // As a function it is made on the first request for it, not at every start.
  SwaggerModule.setup('api', app, () => SwaggerModule.createDocument(app, about), { jsonDocumentUrl: 'api-json' });
}
