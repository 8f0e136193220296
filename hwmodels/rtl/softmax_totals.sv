// The largest word and the sum of a row, chunk after chunk: softmax_parts.total_step.
module softmax_totals #(
    parameter int BITS      = 20,
    parameter int SUM_BITS  = 40,
    parameter int LANE_BITS = 23,   // of the sum of one chunk
    parameter int LATENCY   = 8
) (
    input  logic                        clk,
    input  logic                        first,
    input  logic signed      [BITS-1:0] lane_top,
    input  logic        [LANE_BITS-1:0] lane_sum,
    output logic signed      [BITS-1:0] row_top,
    output logic         [SUM_BITS-1:0] row_total
);
  localparam int Last = LATENCY - 8;
  localparam logic signed [BITS-1:0] Lowest = {1'b1, {(BITS - 1) {1'b0}}};
  logic signed [BITS-1:0] tops[Last+1];
  logic [LANE_BITS-1:0] sums[Last+1];
  for (genvar i = 0; i <= Last; i++) begin : stage
    always_ff @(posedge clk) begin
      tops[i] <= i == 0 ? lane_top : tops[i==0?0:i-1];
      sums[i] <= i == 0 ? lane_sum : sums[i==0?0:i-1];
    end
  end

  logic signed [BITS-1:0] top, top_before;
  logic [SUM_BITS-1:0] total;
  assign top_before = first ? Lowest : top;
  assign row_top    = top_before > tops[Last] ? top_before : tops[Last];
  assign row_total  = (first ? '0 : total) + SUM_BITS'(sums[Last]);
  always_ff @(posedge clk) begin
    top   <= row_top;
    total <= row_total;
  end
endmodule
