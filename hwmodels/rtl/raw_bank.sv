// The raw bank of a column: units.raw_bank. The sum of a segment that goes on is written and hidden from the
// column's edge; what the bank holds is added to the first sum of the next fold.
module raw_bank #(
    parameter int SUM_BITS = 22,
    parameter int CHAINS   = 1,
    parameter int RAW_BITS = 32
) (
    input  logic                       clk,
    input  logic                       rst,
    input  logic                       coming,
    input  logic                       carried,
    input  logic          [CHAINS-1:0] open,
    input  logic [CHAINS*SUM_BITS-1:0] sum,
    input  logic signed [RAW_BITS-1:0] word,
    output logic                       carried_out,
    output logic          [CHAINS-1:0] open_out,
    output logic [CHAINS*RAW_BITS-1:0] sum_out,
    output logic                       write,
    output logic signed [RAW_BITS-1:0] data
);
  logic valid;
  always_ff @(posedge clk) begin
    valid       <= ~rst & coming;
    carried_out <= carried;
  end
  assign write = valid & |open;

  logic opens[CHAINS];
  logic [(CHAINS+1)*RAW_BITS-1:0] chosen;
  assign chosen[RAW_BITS-1:0] = '0;
  for (genvar i = 0; i < CHAINS; i++) begin : chain
    logic signed [SUM_BITS-1:0] own;
    logic signed [RAW_BITS-1:0] whole;
    assign own = sum[i*SUM_BITS+:SUM_BITS];
    assign whole = RAW_BITS'(own) + (i == 0 && carried ? word : '0);
    assign sum_out[i*RAW_BITS+:RAW_BITS] = open[i] ? '0 : whole;
    assign chosen[(i+1)*RAW_BITS+:RAW_BITS] = open[i] ? whole : chosen[i*RAW_BITS+:RAW_BITS];
    always_ff @(posedge clk) opens[i] <= open[i];
    assign open_out[i] = opens[i];
  end
  assign data = chosen[CHAINS*RAW_BITS+:RAW_BITS];
endmodule
