/** What Prometheus is told. */
import { collectDefaultMetrics, Counter, Histogram, Registry } from 'prom-client';

export interface Answer {
  readonly method: string;
  readonly route: string;
  readonly status: number;
}

export class Metrics {
  private readonly registry = new Registry();

  private readonly durations = new Histogram({
    name: 'http_request_duration_seconds',
    help: 'Time to answer, by route template.',
    labelNames: ['method', 'route', 'status'] as const,
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    registers: [this.registry],
  });

  private readonly clipsCreated = new Counter({
    name: 'clips_created_total',
    help: 'Clips stored; repeated requests are not counted again.',
    registers: [this.registry],
  });

  constructor() {
    collectDefaultMetrics({ register: this.registry });
  }

  answered(answer: Answer, seconds: number): void {
    this.durations.observe({ ...answer }, seconds);
  }

  clipCreated(): void {
    this.clipsCreated.inc();
  }

  get contentType(): string {
    return this.registry.contentType;
  }

  text(): Promise<string> {
    return this.registry.metrics();
  }
}
