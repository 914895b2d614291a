package orchestrator_test

import (
	"context"
	"fmt"
	"log"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory/memorytest"
	"github.com/fermata-run/fermata/orchestrator"
	"github.com/fermata-run/fermata/planner/scripted"
)

// Traces and figures go where OpenTelemetry's providers send them.
func ExampleOptions_telemetry() {
	ctx := context.Background()
	// These keep all in memory. A program takes otlptracegrpc.New(ctx) as the
	// exporter, and metric.NewPeriodicReader(…) of otlpmetricgrpc as the reader.
	exporter := tracetest.NewInMemoryExporter()
	reader := sdkmetric.NewManualReader()

	tracer := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter))
	defer tracer.Shutdown(ctx) // and so sends what is left
	meter := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
	defer meter.Shutdown(ctx)

	desk := []*agent.Agent{talker(scripted.Say("Good morning."))}
	o, err := orchestrator.New(memorytest.NewStore(nil), desk, &orchestrator.Options{Tracer: tracer, Meter: meter})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := o.Run(ctx, orchestrator.Request{Agent: "desk", Message: agent.Text("Hello!")}); err != nil {
		log.Fatal(err)
	}

	if err := tracer.ForceFlush(ctx); err != nil {
		log.Fatal(err)
	}
	for _, span := range exporter.GetSpans() {
		fmt.Println(span.Name)
	}
	var figures metricdata.ResourceMetrics
	if err := reader.Collect(ctx, &figures); err != nil {
		log.Fatal(err)
	}
	for _, m := range figures.ScopeMetrics[0].Metrics {
		if m.Name == "fermata.claim.taken" {
			fmt.Println(m.Name, m.Data.(metricdata.Sum[int64]).DataPoints[0].Value)
		}
	}
	// Output:
	// chat scripted
	// invoke_agent desk
	// fermata.claim.taken 1
}
