// The controller of the softmax unit: three passes over a tile, a chunk in every cycle, and LATENCY idle
// cycles behind each pass: softmax_parts.control_step.
module softmax_control #(
    parameter int LATENCY = 8,
    parameter int COUNT   = 16,                 // bits of a row's number, a chunk's, an address
    parameter int IDLE    = $clog2(LATENCY + 1)
) (
    input  logic             clk,
    input  logic             rst,
    input  logic             start,
    input  logic [COUNT-1:0] last_row,
    input  logic [COUNT-1:0] last_chunk,
    output logic             valid,
    output logic       [1:0] phase,
    output logic             first,
    output logic             last,
    output logic [COUNT-1:0] row,
    output logic [COUNT-1:0] address,
    output logic             done
);
  logic active, to_divide, of_last_row, closes;
  logic [COUNT-1:0] chunk;
  logic [IDLE-1:0] idle;
  assign valid       = (start | active) & (idle == 0);
  assign first       = chunk == 0;
  assign last        = chunk == last_chunk;
  assign of_last_row = row == last_row;
  assign closes      = valid & last & of_last_row;
  assign to_divide   = phase >= 2;
  assign done        = (idle == 1) & ~active;

  always_ff @(posedge clk) begin
    if (rst) begin
      active  <= 1'b0;
      phase   <= '0;
      row     <= '0;
      chunk   <= '0;
      address <= '0;
      idle    <= '0;
    end else begin
      if (valid) begin
        active  <= ~(closes & to_divide);
        chunk   <= last ? '0 : chunk + 1'b1;
        address <= closes ? '0 : address + 1'b1;
        if (last) row <= of_last_row ? '0 : row + 1'b1;
        if (closes) phase <= to_divide ? '0 : phase + 1'b1;
      end
      if (closes) idle <= IDLE'(LATENCY);
      else if (idle != 0) idle <= idle - 1'b1;
    end
  end
endmodule
